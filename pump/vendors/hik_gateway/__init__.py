"""Hikvision Device Gateway (IP Receiver): one endless stream of the events of all its devices."""

from pump.vendors.hik_gateway.source import HikGateway

SOURCE = HikGateway
