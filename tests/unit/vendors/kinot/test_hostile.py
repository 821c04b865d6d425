"""Hostile requests to Kinot's callbacks: over the wire, and in bodies; each has its answer, and the next is served."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pump.core.clock import Clock
from pump.vendors.kinot.numbers import Number
from pump.vendors.kinot.simulator.fleet import written
from tests.unit.ingest.push.wire import WIRE, Counts, Sent, answers, chunked, post, wrong
from tests.unit.vendors.kinot.site import Site, kinot_site, vendor

_PATH: Final = b"/kinot/bays/status"


def _messages(site: Site) -> Iterator[dict[str, Any]]:
    """The fields of statuses, each of a bay that has become occupied and was not heard of before."""
    for bay in site.kinot.fleet.bays.values():
        bay.set(site.clock.now(), car_detected=1)
        yield bay.fields() | {"device_type": Number(bay.device_type)}


def _signed(site: Site, fields: dict[str, Any]) -> bytes:
    return written({**fields, "sign": site.kinot.platform.sign(fields)}).encode()


def _sent(site: Site, messages: Iterator[dict[str, Any]]) -> Iterator[Sent]:
    return (Sent(_PATH, _signed(site, fields)) for fields in messages)


async def test_what_a_stranger_may_send_over_a_connection_has_its_answer(tmp_path: Path) -> None:
    clock = Clock()
    async with vendor(clock, bays=4 * len(WIRE)) as kinot, kinot_site(tmp_path, kinot=kinot, running=False) as site:
        bays = list(_messages(site))
        odd, honest = bays[: len(WIRE)], bays[len(WIRE) :]
        found = await wrong(
            int(site.listener.url.rpartition(":")[2]),
            site.metrics.registry,
            _sent(site, iter(odd)),
            _sent(site, iter(honest)),
        )
        assert not found, "\n".join(found)
        occupied = {event["subject"].rpartition("/")[2] for event in await site.events("parking.space.occupied")}
        sns = {str(fields["sn"]) for fields in odd}
        assert occupied & sns == {str(fields["sn"]) for fields, row in zip(odd, WIRE, strict=True) if row.stored}


class Odd(NamedTuple):
    """One callback."""

    name: str
    raw: Callable[[Site, dict[str, Any]], bytes]
    """Made of the fields of a right one."""
    status: int = 403
    unparsed: int = 1
    """How often it is kept as what cannot be read."""
    kept: bool = True
    """Whether the connection takes another request."""


def _body(make: Callable[[bytes], bytes]) -> Callable[[Site, dict[str, Any]], bytes]:
    """A signed body, changed afterwards."""
    return lambda site, fields: post(Sent(_PATH, make(_signed(site, fields))))


def _fields(**more: Any) -> Callable[[Site, dict[str, Any]], bytes]:
    """Fields in place of those that were signed; None takes one away."""

    def made(site: Site, fields: dict[str, Any]) -> bytes:
        whole = {**fields, "sign": site.kinot.platform.sign(fields), **more}
        return post(Sent(_PATH, written({name: value for name, value in whole.items() if value is not None}).encode()))

    return made


def _before(more: bytes) -> Callable[[Site, dict[str, Any]], bytes]:
    """More, where the object begins."""
    return _body(lambda body: body.replace(b"{", b"{" + more, 1))


def _detected(value: bytes) -> Callable[[Site, dict[str, Any]], bytes]:
    """Another value of `car_detected`."""
    return _body(lambda body: body.replace(b'"car_detected":1', b'"car_detected":' + value))


def _at(path: bytes, method: bytes = b"POST") -> Callable[[Site, dict[str, Any]], bytes]:
    return lambda site, fields: post(Sent(path, _signed(site, fields)), first=b"%s %s HTTP/1.1" % (method, path))


def _sign_of(change: Callable[[str], str]) -> Callable[[Site, dict[str, Any]], bytes]:
    def made(site: Site, fields: dict[str, Any]) -> bytes:
        sign = change(site.kinot.platform.sign(fields))
        return post(Sent(_PATH, written({**fields, "sign": sign}).encode()))

    return made


ODD: Final = [
    # --- signs ---
    Odd("a sign that is a list", _fields(sign=["x"])),
    Odd("a sign that is an object", _fields(sign={"x": "y"})),
    Odd("a sign that is a number", _fields(sign=Number("1"))),
    Odd("a sign that is true", _fields(sign=Number("true"))),
    Odd("an empty sign", _fields(sign="")),
    Odd("a sign of blanks", _fields(sign=" " * 32)),
    Odd("a sign of 30,000 letters", _fields(sign="A" * 30_000)),
    Odd("a sign beyond ASCII", _fields(sign="Ａ" * 32)),
    Odd("a sign cut short", _sign_of(lambda sign: sign[:31])),
    Odd("a sign and one letter more", _sign_of(lambda sign: sign + "0")),
    Odd("a sign in small letters", _sign_of(str.lower), 200, 0),
    Odd("a sign with a line's end", _sign_of(lambda sign: sign + "\n"), 200, 0),
    Odd("a sign of nothing", lambda site, fields: _fields(sign=site.kinot.platform.sign({}))(site, fields)),
    Odd("its name in capitals", _body(lambda body: body.replace(b'"sign"', b'"SIGN"'))),
    Odd("a field more than was signed", _fields(note="x")),
    Odd("a field less than was signed", _fields(voltage=None)),
    Odd("a number that reads alike", _detected(b'1.0')),
    Odd("a flag turned", _detected(b'0')),
    Odd("a field twice, the last one forged", _detected(b'1,"car_detected":0'), status=400),
    Odd("a field that replaces the prototype", _fields(__proto__={"sign": "x"})),
    # --- numbers and texts ---
    Odd("a serial number that is an object", _fields(sn={})),
    Odd("a serial number of 5000 digits", _fields(sn=Number("9" * 5000))),
    Odd("NaN", _detected(b'NaN')),
    Odd("Infinity", _detected(b'-Infinity')),
    Odd("a number beyond all", _detected(b'1e999999')),
    Odd("half a character in a value", _before(rb'"note":"\ud800",')),
    Odd("half a character in a name", _before(rb'"\ud800":1,')),
    Odd("a NUL in a name", _before(rb'"\u0000":1,')),
    Odd("an empty name", _before(b'"":1,')),
    Odd("64 levels", _before(b'"a":' + b"[" * 62 + b"]" * 62 + b",")),
    Odd("66 levels", _before(b'"a":' + b"[" * 66 + b"]" * 66 + b","), 400),
    # --- texts that are no JSON ---
    Odd("two documents", _body(lambda body: body + body), 400),
    Odd("lines of JSON", _body(lambda body: body + b"\n" + body), 400),
    Odd("words before it", _body(lambda body: b"x=" + body), 400),
    Odd("JSONP", _body(lambda body: b"f(" + body + b")"), 400),
    Odd("a form", _body(lambda body: b"sn=1&car_detected=1&sign=x"), 400),
    Odd("a part of a form", _body(lambda body: b"--x\r\nContent-Type: x\r\n\r\n" + body + b"\r\n--x--"), 400),
    Odd("XML with an entity", _body(lambda body: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc">]><a>&x;</a>'), 400),
    Odd("single quotes", _body(lambda body: body.replace(b'"', b"'")), 400),
    Odd("a comment", _body(lambda body: body.replace(b"{", b"{/* x */", 1)), 400),
    Odd("UTF-7", _body(lambda body: body.replace(b"{", b"+AHs-", 1)), 400),
    Odd("NULs before it", _body(lambda body: b"\0" * 8 + body), 200, 0),
    Odd("NULs in it", _body(lambda body: b"\0".join(body[n : n + 9] for n in range(0, len(body), 9))), 400),
    Odd("blanks", _body(lambda body: b" " * 1000), 400),
    Odd("a list of it", _body(lambda body: b"[" + body + b"]"), 400),
    Odd("a text of it", _body(lambda body: b'"' + body.replace(b'"', b'\\"') + b'"'), 400),
    Odd("60,000 brackets", _body(lambda body: b"[" * 60_000), 400),
    Odd("60,000 quotes", _body(lambda body: b'"' * 60_000), 400),
    Odd("60,000 backslashes", _body(lambda body: b'{"a":"' + b"\\" * 60_000), 400),
    Odd("30,000 curly quotes", _body(lambda body: b"{" + "“".encode() * 20_000), 400),
    Odd("more than a callback may have", _before(b'"a":"' + b"x" * 65_536 + b'",'), 413, 0),
    Odd("more than that, packed", lambda site, fields: post(
        Sent(_PATH, gzip.compress(b'{"a":"' + b"x" * 3_000_000)), b"Content-Encoding: gzip"), 413, 0),
    Odd("in chunks", lambda site, fields: chunked(Sent(_PATH, _signed(site, fields))), 200, 0),
    # --- where to ---
    Odd("to another source", _at(b"/kinot/other/status"), 404, 0),
    Odd("to a name that begins alike", _at(b"/kinot/bays2/status"), 404, 0),
    Odd("to the vendor", _at(b"/kinot"), 404, 0),
    Odd("with dots", _at(b"/kinot/bays/x/../status"), 404, 0),
    Odd("with an escaped slash", _at(b"/kinot/bays%2fstatus"), 200, 0),
    Odd("with an escaped letter", _at(b"/kinot/bays/%73tatus"), 200, 0),
    Odd("with two escapes of one letter", _at(b"/kinot/bays/%2573tatus"), 404, 0),
    Odd("with a NUL", _at(b"/kinot/bays/status%00"), 404, 0),
    Odd("with a matrix", _at(b"/kinot/bays/status;x=1"), 404, 0),
    Odd("with the fields in the query", _at(b"/kinot/bays/status?sn=1&sign=x"), 200, 0),
    Odd("a deletion", _at(_PATH, b"DELETE"), 405, 0),
    Odd("a question", _at(_PATH, b"OPTIONS"), 405, 0),
]  # fmt: skip


async def test_what_a_stranger_may_say_has_its_answer(tmp_path: Path) -> None:
    clock = Clock()
    async with vendor(clock, bays=3 * len(ODD)) as kinot, kinot_site(tmp_path, kinot=kinot, running=False) as site:
        messages = _messages(site)
        wrong: list[str] = []
        for row in ODD:
            fields = next(messages)
            before = len(await site.events())
            counts = Counts(site.metrics.registry)
            got, _ = await answers(int(site.listener.url.rpartition(":")[2]), row.raw(site, fields), 1, b"")
            statuses = [answer.status for answer in got]
            found = [event["type"] for event in (await site.events())[before:]]
            said = (statuses, found.count("pump.record.unparsed"), "parking.space.occupied" in found)
            if said != ([row.status], row.unparsed, row.status == 200):
                wrong.append(f"{row.name}: {said}")
            honest = post(Sent(_PATH, _signed(site, next(messages))))
            after, _ = await answers(int(site.listener.url.rpartition(":")[2]), row.raw(site, fields) + honest, 2, b"")
            if [answer.status for answer in after][1:] != [200] * row.kept:
                wrong.append(f"{row.name}: afterwards {[answer.status for answer in after]}")
            if counts.more().total() != 2 + row.kept:
                wrong.append(f"{row.name}: is not counted")
        assert not wrong, "\n".join(wrong)


def test_the_tables_are_long_enough() -> None:
    names = [*(row.name for row in ODD), *(row.name for row in WIRE)]
    assert len(names) == len(set(names))
    assert len(names) >= 150
