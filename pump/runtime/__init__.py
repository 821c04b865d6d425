"""The process: the daemon, its supervisor, its signals, its word to systemd."""
