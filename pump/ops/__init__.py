"""Operators' access to a running daemon: HTTP, and the control socket with its commands."""
