"""The counters of /metrics. One object a daemon (tests run several in one process), each counter with its reason.

Every drop, retry and reconnect has a counter. Counters are raised a batch at a time, never an event at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from pump import __version__
from pump.telemetry.log import lines_lost

# A line beside each counter with its begin was half of the page: all begin with the daemon.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

_REFUSALS = (
    ("the spool refuses: too much waits", "waiting"),
    ("the spool refuses: ", "refusing"),
    ("the spool cannot be ", "failing"),
)
"""How reasons of a refused put begin, and the label that stands for each."""
_LONGEST = 60


def label(text: str) -> str:
    """A text as a label's value: short, plain ASCII, whatever it was made of.

    One that is neither may make a whole scrape invalid (prometheus-client 0.26), and a vendor's words must not make
    series.
    """
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)[:_LONGEST]


def refusal(reason: str) -> str:
    """The label for why the spool refused a put; the reason itself may name a path or quote the system."""
    return next((word for begin, word in _REFUSALS if reason.startswith(begin)), "closed")


_COMMIT_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class _LogLines(Collector):
    """The log is the process's, older than the daemon's counters."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Lines of the log that were not written, for nobody read standard error"
        yield CounterMetricFamily("pump_log_lines_lost", text, value=lines_lost())


class Metrics:
    """The daemon's counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.process = ProcessCollector(registry=registry)  # memory, descriptors, CPU: names that every dashboard knows

        self.log_lines = _LogLines()
        registry.register(self.log_lines)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self.build = gauge("pump_build_info", "Always 1; the label is the version that runs", "version")
        self.build.labels(__version__).set(1)
        self.events = counter("pump_events", "Events stored", "source")
        self.duplicates = counter(
            "pump_duplicates", "Redelivered events dropped, for they are stored already", "source"
        )
        self.unparsed = counter("pump_unparsed", "Records kept as pump.record.unparsed", "source")
        self.unparsed_dropped = counter(
            "pump_unparsed_dropped", "Unparsable records beyond what a source may keep", "source"
        )
        self.refused = counter("pump_refused", "Puts that the spool refused", "source", "reason")
        self.gaps = counter("pump_gaps", "Gap events; each tells its reason", "source")
        self.gap_records = gauge("pump_gap_records", "Records of the gap ledger", "source", "state")
        self.gap_events = counter("pump_gap_events", "Events stored that fill a gap", "source")
        self.source_incidents = counter(
            "pump_source_incidents", "Retries, reconnects and the like of a source", "source", "what"
        )
        self.reloads = counter(
            "pump_reloads", "Readings of pump.toml while the pump ran, by what became of them", "result"
        )
        self.restarts = counter("pump_restarts", "Restarts of a part after it failed", "part")
        self.stuck = counter(
            "pump_stuck", "Times that a part made no progress and was cancelled, to begin anew", "part"
        )
        self.last_activity = gauge(
            "pump_source_last_activity_seconds", "Last sign of life, seconds since 1970", "source"
        )
        self.clock_offset = gauge(
            "pump_device_clock_offset_seconds",
            "The largest offset of a device's clock, its time less the arrival, as ten live events tell it",
            "source",
        )
        self.up = gauge("pump_up", "1 while the part is up", "part")

        self.media_waiting = gauge("pump_media_waiting", "Links to pictures that are still to be fetched")
        self.media_fetched = counter("pump_media_fetched", "Pictures fetched from their links", "source")
        self.media_fetched_bytes = counter("pump_media_fetched_bytes", "Bytes of pictures fetched", "source")
        self.media_retries = counter("pump_media_retries", "Links to be asked again", "source", "reason")
        self.media_failed = counter(
            "pump_media_failed", "Links given up; a media.failed tells each", "source", "reason"
        )

        self.sent = counter("pump_sent", "Events that a sink has delivered", "sink")
        self.excluded = counter("pump_excluded", "Events that a sink's routing leaves out", "sink")
        self.sink_retries = counter("pump_sink_retries", "Sends to be tried again", "sink", "reason")
        self.sink_duplicates = counter("pump_sink_duplicates", "Events that a sink's peer said it had already", "sink")
        self.sink_left_out = counter(
            "pump_sink_left_out", "Events that a sink was given and its peer will not get, by reason", "sink", "reason"
        )  # fmt: skip
        self.dead = counter("pump_dead_letters", "Events that became dead letters", "sink")
        self.dead_evicted = counter(
            "pump_dead_letters_evicted", "Dead letters removed, for they were more than their share", "sink"
        )
        self.resent = counter(
            "pump_resent", "Events sent to a sink again as asked: a replay, or dead letters", "sink", "what"
        )
        self.lost = counter("pump_lost", "Events removed before a sink that does not hold had them", "sink")
        self.sink_off = gauge("pump_sink_off", "1 while a sink is switched off, for its receiver wants no more", "sink")
        self.lag = gauge("pump_lag_events", "Sequence numbers between the spool's head and the sink's position", "sink")

        self.commands = counter(
            "pump_commands", "Commands to devices, by what became of them", "source", "verb", "status"
        )
        self.command_messages = counter(
            "pump_command_messages", "Messages by MQTT and NATS that ask for commands", "sink", "outcome"
        )
        self.command_answers_lost = counter(
            "pump_command_answers_lost", "Answers to such messages that could not be delivered", "sink"
        )

        self.spool_bytes = gauge("pump_spool_bytes", "Used pages and WAL")
        self.spool_limit = gauge("pump_spool_limit_bytes", "What the spool may hold: max_bytes in pump.toml")
        self.spool_full = gauge("pump_spool_full", "1 while the spool refuses")
        self.spool_damaged = counter("pump_spool_damaged_rows", "Stored events whose checksum was wrong when read")
        self.pruned = counter("pump_pruned", "Events removed", "reason")
        self.media_bytes = gauge(
            "pump_media_bytes", "Bytes of the media store, of known devices and of strangers", "share"
        )
        self.media_evicted = counter("pump_media_evicted", "Files that the media store has removed", "reason")
        self.ops_closed = counter(
            "pump_ops_closed_connections",
            "Connections of the ops listener closed unanswered, for they were slow, malformed or too many",
            "reason",
        )
        self.commits = counter("pump_commits", "Commits of the spool")
        self.commit_seconds = Histogram(
            "pump_commit_seconds", "Time of a commit, fsync included", registry=registry, buckets=_COMMIT_BUCKETS
        )
