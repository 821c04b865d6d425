"""Files that an operator names."""
