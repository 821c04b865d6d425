"""The operators' page on the ops listener: what happens, what happened, who is up, and what can be done about it."""
