"""Parts that several vendors' folders are made of."""
