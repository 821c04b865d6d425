"""Addresses of other machines: those that may be connected to. Opens no connection."""
