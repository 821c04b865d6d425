"""An SQLite archive of its own: typed columns and the whole JSON, each event exactly once."""

from pump.sinks.sqlite.sink import SqliteSink as SINK

__all__ = ["SINK"]
