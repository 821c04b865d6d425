"""Outputs that users rely on, kept as files; `python -m tests.golden.write` makes them anew."""
