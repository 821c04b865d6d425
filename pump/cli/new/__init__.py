"""Writing the folder of a new source or sink: two commands, and the templates that they copy."""
