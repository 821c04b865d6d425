"""Log, metrics and health of the running daemon."""
