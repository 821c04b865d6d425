"""Looking for what happened, in the spool and in archives, and taking it along as CSV or JSON."""
