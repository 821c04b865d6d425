"""Who may look at the operators' page, and who may act."""
