"""The commands about gaps: their list, and filling one by hand."""
