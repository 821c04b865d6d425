"""What the service manager gets from the daemon, and gives it: messages, pings, more time, sockets."""
