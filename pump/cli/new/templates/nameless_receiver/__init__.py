"""Nameless receiver: each event is one HTTP POST."""

from pump.cli.new.templates.nameless_receiver.sink import NamelessReceiverSink

SINK = NamelessReceiverSink
