"""Nameless receiver: each event is one HTTP POST."""

from pump.cli.templates.nameless_receiver.sink import NamelessReceiverSink

SINK = NamelessReceiverSink
