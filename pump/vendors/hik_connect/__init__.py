"""Hik-Connect for Teams (HikCentral Connect): the queues of its OpenAPI."""
