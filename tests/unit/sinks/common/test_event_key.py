"""An event's name: webhooks send it as webhook-id, the nats sink as Nats-Msg-Id."""

from __future__ import annotations

from pump.sinks.common.event_key import name_of
from pump.testing.records import record

PLAIN = b'{"specversion":"1.0","id":"a","source":"/s/b","type":"t"}'


def test_receivers_know_events_by_this_name_over_releases() -> None:
    assert name_of(PLAIN) == "8d54270d858cb2c7935747ab4bcf8883"


def test_it_is_of_source_and_id_however_the_event_is_written() -> None:
    assert name_of(PLAIN) == name_of(b'{"type": "t", "source": "/s/b", "id": "a"}')
    assert name_of(PLAIN) == name_of(b'{"specversion":"1.0","id":"\\u0061","source":"/s/b"}')
    assert name_of(PLAIN) != name_of(PLAIN.replace(b"/s/b", b"/s/c"))
    assert name_of(b'{"specversion":"1.0","id":"a\\"b","source":"/s/x","type":"t"}') == name_of(
        b'{"source": "/s/x", "id": "a\\u0022b"}'
    )


def test_no_two_events_share_one() -> None:
    assert name_of(record(1).body) == name_of(record(1).body)
    assert len({name_of(one.body) for one in (record(1), record(2), record(1, source="door"))}) == 3
