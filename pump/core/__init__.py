"""Words and values that every room uses: no I/O, and it knows nobody."""
