"""What `pump new-source` and `pump new-sink` copy: a whole source and a whole sink, under names that are replaced.

They are code like any other, so that ruff, mypy and the conformance suites keep them right; nothing imports them.
"""
