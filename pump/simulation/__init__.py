"""Frame of the vendors' simulators: the stage they play on."""
