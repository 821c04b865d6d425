"""Recordings at the command line: taken of a running source, and played to a pump."""
