"""Commands to devices, from the command line."""
