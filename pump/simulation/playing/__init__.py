"""Recordings, played in the place of a vendor's simulator."""
