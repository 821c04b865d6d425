"""Hikvision Device Gateway (IP Receiver): one endless stream of the events of all its devices."""
