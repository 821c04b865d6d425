"""Commands to devices: the vocabulary of verbs, and what a source and a caller know of a command. No I/O."""
