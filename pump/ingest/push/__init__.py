"""The push listener: one port for every source that devices push to."""
