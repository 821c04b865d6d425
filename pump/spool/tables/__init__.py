"""What lies in the file beside events, keys, cursors and state: each table with its SQL and its part in memory."""
