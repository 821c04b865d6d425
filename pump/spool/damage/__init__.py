"""A file that a disk has damaged: found by checksums, mended, set aside; and what is noted beside the file for it."""
