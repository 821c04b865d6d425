"""The list of events that flows, and an event's own page."""
