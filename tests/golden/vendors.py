"""The golden events: one line for each event of each sample, and for each code that a vendor's tables know."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tests.golden import subjects
from tests.golden.subjects import Put

DATA: Final = Path(__file__).parent / "data"
LISTS: Final = Path(__file__).parents[1] / "data"

Lines = dict[str, list[str]]
"""By sample or code: a line of JSON for each event, and one for the state that is stored with them."""


def sample_lines(vendor: str) -> Lines:
    """What today's code makes of the vendor's samples."""
    return _lines(vendor, subjects.samples(vendor), apart=True)


def code_lines(vendor: str, messages: dict[str, str]) -> Lines:
    """What today's code makes of messages that differ in their code alone."""
    return _lines(vendor, {name: text.encode() for name, text in messages.items()}, apart=False)


def _lines(vendor: str, messages: dict[str, bytes], *, apart: bool) -> Lines:
    """Read twice: an id that differs is random, for the vendor gives no identity, and stands as that."""
    puts, again = (_read(vendor, messages, apart=apart) for _ in range(2))
    found: Lines = {}
    for name, put, other in zip(messages, puts, again, strict=True):
        lines = list(spelled(vendor, put))
        for one, two in zip(_ids(put), _ids(other), strict=True):
            if one != two:
                lines = [line.replace(one, "<random>") for line in lines]
        found[name] = lines
    return found


def _read(vendor: str, messages: dict[str, bytes], *, apart: bool) -> list[Put]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(subjects.read(vendor, messages.values(), Path(folder), apart=apart))


def _ids(put: Put) -> list[str]:
    return [event.id for event in put.events if isinstance(event, subjects.Event)]


def spelled(vendor: str, put: Put) -> Iterator[str]:
    """A line for each event and, where there is any, one for the state."""
    for event in put.events:
        if isinstance(event, subjects.Unparsed):
            yield json.dumps({"unparsed": event.error, "identity": list(event.identity)})
            continue
        body = subjects.encode(event, f"/{subjects.SITE}/{vendor}", subjects.ARRIVED).decode()
        # The event stands as it was encoded: the order of its keys and the form of its numbers count too.
        yield f'{{"lead":{event.dedup_time_ms},"limited":{json.dumps(event.quarantined)},"event":{body}}}'
    if put.state:
        yield orjson.dumps({"state": put.state}, option=orjson.OPT_SORT_KEYS).decode()


# --- files ------------------------------------------------------------------------------------------------------------


def samples_file(vendor: str) -> Path:
    """Text, for a change of an event on purpose is read by people."""
    return DATA / f"samples-{vendor}.txt"


def codes_file(vendor: str) -> Path:
    """Packed: many, and alike."""
    return DATA / f"codes-{vendor}.json.gz"


def write_samples(vendor: str) -> None:
    """Write what today's code makes of the vendor's samples."""
    blocks = ("\n".join([f"== {name}", *lines]) + "\n" for name, lines in sample_lines(vendor).items())
    samples_file(vendor).write_text("".join(blocks), encoding="utf-8")


def read_samples(vendor: str) -> Lines:
    """What was written."""
    found: Lines = {}
    for block in re.split(r"^== ", samples_file(vendor).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, *lines = block.removesuffix("\n").split("\n")
        found[name] = lines
    return found


def write_codes(vendor: str) -> None:
    """Write messages with every code, and what today's code makes of each."""
    messages = dict(_MESSAGES[vendor]())
    lines = code_lines(vendor, messages)
    content = {name: {"message": message, "lines": lines[name]} for name, message in messages.items()}
    codes_file(vendor).write_bytes(gzip.compress(orjson.dumps(content), mtime=0))


def read_codes(vendor: str) -> dict[str, dict[str, Any]]:
    """What was written: by code the message and its lines."""
    found: dict[str, dict[str, Any]] = orjson.loads(gzip.decompress(codes_file(vendor).read_bytes()))
    return found


# --- differences ------------------------------------------------------------------------------------------------------


def differences(name: str, wanted: list[str], found: list[str]) -> list[str]:
    """Each differing key with both values; empty where the lines are equal byte by byte."""
    if wanted == found:
        return []
    said = []
    if len(wanted) != len(found):
        said.append(f"{name}: {len(found)} lines instead of {len(wanted)}")
    for number, (old, new) in enumerate(zip(wanted, found, strict=False)):
        if old != new:
            keys = list(differing("", orjson.loads(old), orjson.loads(new)))
            said += [f"{name}, line {number + 1}: {key}" for key in keys or ["the order of keys or a number's form"]]
    return said


def differing(path: str, old: Any, new: Any) -> Iterator[str]:
    """Each key path at which two JSON values differ, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differing(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differing(f"{path}[{number}]", one, other)
    elif old != new:
        yield f"{path} was {_short(old)}, is {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


# --- messages with every code -----------------------------------------------------------------------------------------


def _sample(vendor: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(subjects.samples(vendor)[name])
    return {key: value for key, value in found.items() if key not in ("expect", "expected", "note")}


def _camera() -> Iterator[tuple[str, str]]:
    sample = _sample("hik_camera", "io")
    for kind in [*subjects.EVENTS, "somethingNew"]:
        body = sample["body"].replace("<eventType>IO<", f"<eventType>{kind}<")
        yield kind, json.dumps({"body": body, "then": [body.replace(">active<", ">inactive<")]})
    sample = _sample("hik_camera", "access-card-late")
    pairs = re.compile(r'("major(?:EventType)?": ?)\d+(.*?"(?:subEventType|minor)": ?)\d+', re.DOTALL)
    assert pairs.search(sample["body"])
    for major, minor in [*subjects.ACCESS, (5, 9999)]:
        yield f"{major}/{minor}", json.dumps({"body": pairs.sub(rf"\g<1>{major}\g<2>{minor}", sample["body"])})
    sample = _sample("hik_camera", "cid-instant-alarm")
    for code in _cid_codes():
        body = sample["body"].replace('"code": 1103', f'"code": {code}')
        yield f"cid {code}", json.dumps({"body": body, "then": [_restored(body, code)]})


def _gateway() -> Iterator[tuple[str, str]]:
    sample = _sample("hik_gateway", "cid-low-battery-restored")
    code_of = re.compile(r'("CIDCode": ?)"\d+"')
    assert code_of.search(sample["part"])
    for code in _cid_codes():
        part = code_of.sub(rf'\g<1>"{code}"', sample["part"])
        yield f"cid {code}", json.dumps({"part": part, "then": [_restored(part, code)]})


def _cid_codes() -> list[str]:
    return [
        *dict.fromkeys(line.split()[0] for line in (LISTS / "hik_gateway_cid.txt").read_text().splitlines()),
        "1999",
    ]


def _restored(message: str, code: str) -> str:
    return message.replace(code, "3" + code[1:]) if code.startswith("1") else message


def _connect() -> Iterator[tuple[str, str]]:
    rows = [line.split("\t") for line in (LISTS / "hik_connect_codes.txt").read_text().splitlines()]
    alarms = {code for _, code, _ in rows if not code.startswith("Msg")}
    messages = {code for _, code, _ in rows if code.startswith("Msg")}
    for name, old, codes in (
        ("alarm-input", '"50000"', alarms), ("combine-motion", '"10002"', alarms | messages),
        ("rawmsg-phone", '"Msg330502"', alarms | messages),
    ):  # fmt: skip
        text = json.dumps(_sample("hik_connect", name))
        assert old in text
        for code in [*sorted(codes), "999999"]:
            yield f"{name.partition('-')[0]} {code}", text.replace(old, f'"{code}"')


def _kinot() -> Iterator[tuple[str, str]]:
    sample = _sample("kinot", "status-lock-every-fault")
    kind_of = re.compile(r'("device_type": ?)\d+')
    assert kind_of.search(sample["text"])
    for kind in range(60):
        yield f"device_type {kind}", json.dumps({**sample, "text": kind_of.sub(rf"\g<1>{kind}", sample["text"])})


def _avaeye() -> Iterator[tuple[str, str]]:
    head, _, body = subjects.samples("avaeye")["capture"].decode().partition("\n")
    for field, codes in (
        ("plateType", 64), ("vehicleType", 40), ("vehicleColor", 24), ("plateColor", 24), ("shootPosition", 6),
    ):  # fmt: skip
        assert f'"{field}": 1,' in body
        for code in range(codes):
            yield f"{field} {code}", f"{head}\n" + body.replace(f'"{field}": 1,', f'"{field}": {code},')


_MESSAGES: Final = {
    "avaeye": _avaeye, "hik_camera": _camera, "hik_connect": _connect, "hik_gateway": _gateway, "kinot": _kinot,
}  # fmt: skip
