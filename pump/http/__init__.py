"""HTTP, as a server: the ops listener."""
