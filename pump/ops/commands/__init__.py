"""Commands to devices: who may, what is written down before and after, and the ways in."""
