"""The originals of `pump new-source` and `pump new-sink`: a whole source and a whole sink, with names to be replaced.

They are code like any other, so that ruff, mypy and the conformance suites keep them right; nothing imports them.
"""
