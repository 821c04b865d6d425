"""JSON lines: a file, each event exactly once; or standard output."""

from pump.sinks.jsonl.sink import JsonlSink as SINK

__all__ = ["SINK"]
