"""Filling gaps: what the account's alarm log and access records still have of a time that the queues have lost."""
