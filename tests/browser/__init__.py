"""The operators' page in a real browser: Debian's chromium, driven by playwright. Skipped where either is missing."""
