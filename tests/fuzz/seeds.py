"""The corpus to begin with: the committed samples, and streams framed with every habit that is known."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pump.vendors.hik_camera
import pump.vendors.hik_gateway
from pump.testing import ManualClock
from pump.vendors.hik_camera.simulator.messages import BURSTS, PULSES, Records
from pump.vendors.hik_camera.simulator.quirks import ODDITIES, Quirks, frame
from tests.fuzz.targets import STRETCH

_HOWS: Final = (0x00, 0x08, 0x10, 0x2A, 0x33, 0x51)


def seeds(target: str) -> list[bytes]:
    """The inputs that `target` begins with."""
    made = {
        "reader": _streams, "gateway": _gateway, "camera": _camera, "gateway-shapes": _shapes, "camera-shapes": _shapes,
    }[target]  # fmt: skip
    return list(dict.fromkeys(made()))


def write(target: str, folder: Path) -> None:
    """Put the seeds into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number:03}").write_bytes(seed)


def _samples(package: str, key: str) -> Iterator[bytes]:
    for path in sorted((Path(package).parent / "samples").glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))[key].encode()


def _gateway() -> Iterator[bytes]:
    yield from _samples(pump.vendors.hik_gateway.__file__, "part")
    yield from _MENDED


def _camera() -> Iterator[bytes]:
    yield from _samples(pump.vendors.hik_camera.__file__, "body")
    yield from _XML
    for quirks in ODDITIES.values():
        for kind in (*PULSES, *BURSTS):
            yield from (message.body for message in Records(ManualClock(), quirks, 1).make(kind, repeats=1))


_XML: Final = (
    b'<?xml version="1.0" encoding="GB2312"?><a><eventType>VMD</eventType><n>\xbe\xa9</n></a>',
    b'<!DOCTYPE a [<!ENTITY x "y">]><a><eventType>&x;</eventType></a>',
    b"<a><eventType>IO</eventType><x>&#65;&#0;&#xD800; & &amp; &nope;</x><activePostCount/></a>",
    "<a><eventType>VMD</eventType><dateTime>2026-11-20T11:46:3100:00</dateTime></a>".encode("utf-16"),
    b'<ns:a xmlns:ns="urn:x"><ns:eventType k="v"> TMA </ns:eventType><ns:b/><ns:b>1</ns:b>t<![CDATA[<x>]]></ns:a>',
    b'{"eventType": "IO", "a": 0x1F, "b": [1, 2,], "s": "0x1,}\t",}',
)
_MENDED: Final = (
    b'{"EventNotificationAlert": {"eventType": "x", /* one */ "a": 0x1F, "b": , "c": NaN, "t": "\\ud800",},}',
)


def _shapes() -> Iterator[bytes]:
    """Choices without a meaning of their own: coverage finds which are worth keeping."""
    for seed in range(64):
        yield random.Random(seed).randbytes(20 + 3 * seed)


def _streams() -> Iterator[bytes]:
    """Three bytes of choices, then a stream. Short ones: each is read byte by byte."""
    xml = b"<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>"
    for number, quirks in enumerate(ODDITIES.values()):
        stream = frame(quirks, "application/json", b'{"n":1}') + frame(quirks, "application/xml", xml)
        stream += frame(quirks, "image/jpeg", b"\xff\xd8\0\0\xff\xd9") + frame(quirks, "text/plain", b"{}")
        for how in _HOWS[number % 2 :: 2]:
            yield bytes([how, number, how]) + stream
    for body in (*_gateway(), *_samples(pump.vendors.hik_camera.__file__, "body")):
        yield b"\x10\0\1" + frame(Quirks(), "application/json", body) * 2
    for how in _HOWS:
        for quirks in (Quirks(), Quirks(length="one more"), Quirks(length="one less"), Quirks(glued=True)):
            # The same header again and again: the way that nearly all parts take.
            same = [frame(Quirks(), "application/json", b'{"n":%d}' % number) for number in range(5)]
            same.insert(3, frame(quirks, "application/json", b'{"odd":1}'))
            yield bytes([how, 0, 7]) + b"".join(same) + frame(Quirks(), "image/jpeg", b"\xff\xd8x\xff\xd9") * 3
    part = (
        b"--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n\xff\xd8" + b"\0" * 10 + b"\xff\xd9\r\n"
    )
    for off in (-1, 0, 1, STRETCH):
        yield b"\xc0\0\1" + part % (10 * STRETCH + 4 + off) * 2 + b"--boundary--\r\n"
