"""Hik-Connect for Teams (HikCentral Connect): the queues of its OpenAPI."""

from pump.vendors.hik_connect.source import HikConnect

SOURCE = HikConnect
