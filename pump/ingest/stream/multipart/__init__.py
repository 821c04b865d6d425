"""A multipart body without an end, taken apart as it comes."""
