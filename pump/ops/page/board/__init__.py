"""How the site stands: lots, partitions, doors, devices, batteries, and how much happens."""
