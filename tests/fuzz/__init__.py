"""Fuzzing by hand: what coverage finds that hypothesis does not (README.md says how)."""
