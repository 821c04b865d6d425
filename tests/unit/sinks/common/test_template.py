"""No value of an event can change the form of the topic or subject that it stands in."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.core.record import Record
from pump.sinks.common.template import MQTT, NATS, Dialect, Template, read_back, written

VALUES = st.one_of(
    st.text(max_size=60),
    st.text("/+#.*>%$ \t\r\n\0_a", max_size=20),
    st.text("é/", min_size=100, max_size=3000),
)


def filled(text: str, dialect: Dialect, **event: object) -> str:
    body = {"source": "/north/gate", "type": "vehicle.passed", **event}
    record = Record(1, "gate", str(body["type"]), 2, 0, orjson.dumps(body))
    return Template(text, dialect).fill(record, body)


@given(VALUES)
def test_a_value_is_one_level_of_a_topic(value: str) -> None:
    topic = filled("a/{subject}/b", MQTT, subject=value)
    levels = topic.split("/")
    assert (len(levels), levels[0], levels[2]) == (3, "a", "b")
    assert levels[1]
    assert len(levels[1].encode()) <= 128
    assert not set(topic) & set("+#\0\n\r\t\x7f")


@given(VALUES)
def test_a_value_is_one_token_of_a_subject(value: str) -> None:
    subject = filled("a.{subject}.b", NATS, subject=value)
    tokens = subject.split(".")
    assert (len(tokens), tokens[0], tokens[2]) == (3, "a", "b")
    assert tokens[1]
    assert not any(sign in "*>" or sign.isspace() or ord(sign) < 0x20 for sign in subject)


@given(VALUES, st.sampled_from([MQTT, NATS]))
def test_a_path_keeps_its_levels_and_no_more_than_a_dozen(value: str, dialect: Dialect) -> None:
    levels = filled(f"a{dialect.separator}{{subject:levels}}", dialect, subject=value).split(dialect.separator)
    assert all(levels)
    assert len(levels) == 1 + min(12, value.count("/") + 1) or len("".join(levels)) > 200


@given(st.text("ab/+#%é", max_size=12), st.text("ab/+#%é", max_size=12))
def test_different_values_make_different_topics(one: str, other: str) -> None:
    same = filled("a/{subject}", MQTT, subject=one) == filled("a/{subject}", MQTT, subject=other)
    assert same == (one == other)


@pytest.mark.parametrize(
    ("text", "dialect", "wanted"),
    [
        ("pump/{site}/{type}/{subject:levels}", MQTT, "pump/north/vehicle.passed/camera/10/1"),
        ("pump/{site}/{type}/{subject}", MQTT, "pump/north/vehicle.passed/camera%2F10%2F1"),
        ("pump.{site}.{type:levels}", NATS, "pump.north.vehicle.passed"),
        ("p/{source}/{severity}/{data.place.lot}", MQTT, "p/gate/warning/A+B".replace("+", "%2B")),
        ("p/{data.parking.occupied}/{data.place.lane}/{data.place}", MQTT, "p/true/_/_"),
        ("{data.cash}", MQTT, "%245"),
    ],
)
def test_templates(text: str, dialect: Dialect, wanted: str) -> None:
    data = {"place": {"lot": "A+B"}, "parking": {"occupied": True}, "cash": "$5"}
    assert filled(text, dialect, subject="camera/10/1", data=data) == wanted


_LEVELS = st.lists(st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text), min_size=1, max_size=6)


@given(st.sampled_from([MQTT, NATS]), _LEVELS)
def test_a_value_with_levels_is_read_back(dialect: Dialect, levels: list[str]) -> None:
    value = "/".join(levels)
    assert read_back(written(value, dialect), dialect) == value


@given(st.sampled_from([MQTT, NATS]), st.text(alphabet="aB1/.%2Ff+*_~ é", max_size=20))
def test_each_value_has_one_form_alone(dialect: Dialect, text: str) -> None:
    value = read_back(text, dialect)
    assert value is None or written(value, dialect) == text
