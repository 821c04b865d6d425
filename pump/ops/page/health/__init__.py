"""Is all well: the parts of the pump, what waits and what is missing, and what can be done about it."""
