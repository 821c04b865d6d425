"""The way in: from a source to the spool, and what the sources share."""
