"""What somebody with the right can do on the page: retry, restart, replay, command, take note of an alarm."""
