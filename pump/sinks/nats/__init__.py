"""NATS JetStream: each event once in a stream (docs/nats.md)."""

from pump.sinks.nats.sink import NatsSink as SINK

__all__ = ["SINK"]
