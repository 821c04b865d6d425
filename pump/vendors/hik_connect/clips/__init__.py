"""Clips of cameras' own recordings: `asking` asks for them, `clip` is one as it is stored."""
