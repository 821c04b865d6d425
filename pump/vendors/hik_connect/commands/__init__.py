"""Commands to what the account has: who can be commanded, and the calls that do it."""
