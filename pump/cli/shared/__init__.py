"""What several commands have: their options, the way to the daemon, and how its answers are shown."""
