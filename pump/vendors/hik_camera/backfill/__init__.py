"""What a stream missed, from the device's own search for access events."""
