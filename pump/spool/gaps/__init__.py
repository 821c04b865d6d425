"""Stretches of time in which events may be missing: their ledger, what fills them, and how it is known to be the same.

A record is opened by the commit that stores its `pump.gap`, and changed by the commits that store what fills it: so
neither can be without the other, whatever is killed in between.
"""
