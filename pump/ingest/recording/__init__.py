"""Recordings of what sources receive: the tap at their boundaries, the replacing of what is personal, the file."""
