"""Other machines: the addresses that may be connected to, and why a call came to nothing. Opens no connection."""
