"""The way out: one loop a sink, from the spool to its `send`."""
