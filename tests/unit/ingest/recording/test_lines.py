"""The tap's queue, and the file: written line by line, and refused with a clear word where it is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pump.ingest.recording import tap as taps
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.lines import LineWriter, RecordingError, read
from pump.ingest.recording.tap import Tap
from pump.testing import ManualClock

NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
JSON = {"Content-Type": "application/json", "Authorization": "Basic Zm9vOmJhcg==", "Cookie": "a=b", "X-Key": "s3cret"}


def written(*, end: bool = True) -> bytes:
    """A recording of one frame of each kind."""
    clock = ManualClock()
    tap = Tap(clock)
    recording = tap.begin()
    writer = LineWriter("hik-camera", RecordedFields(), recording, NOW)
    tap.push({"method": "POST", "path": "/capture?sn=419635205", "headers": JSON, "status": 200}, b'{"plate":"A12345"}')
    tap.answer("GET", "/devices/419635205?format=json", 200, JSON, b"\xff\xfe\x00")
    link = tap.open("GET", "/stream", {"content-type": "multipart/mixed; boundary=x"})
    link.chunk(
        b'--x\r\nContent-Type: text/plain\r\n\r\n{"plate":"A12345"}\r\n--x\r\nContent-Type: text/plain\r\n\r\n{"pl'
    )
    link.chunk(b'ate":"A12345"}')
    link.close()
    tap.end("its time was over")
    lines = [writer.header, *writer.lines(recording.taken()), *writer.rest()]
    lines += [writer.end(recording, clock.monotonic())] if end else []
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_what_was_recorded_is_read_again() -> None:
    content = written()
    for secret in (b"A12345", b"419635205", b"Zm9v", b"a=b", b"s3cret", b"X-Key"):
        assert secret not in content
    recording = read(content)
    assert (recording.vendor, recording.begun, recording.end) == ("hik-camera", NOW, "its time was over")
    assert [frame.kind for frame in recording.frames] == ["push", "answer", "open", "chunk", "chunk", "chunk", "close"]
    push, answer, opened, *chunks, _ = recording.frames
    assert push.fields["headers"] == {"Content-Type": "application/json"}
    assert opened.fields["headers"] == {"Content-Type": "multipart/mixed; boundary=x"}
    plate = json.loads(push.body)["plate"]
    assert b"".join(chunk.body for chunk in chunks).count(f'{{"plate":"{plate}"}}'.encode()) == 2
    number = push.fields["path"].removeprefix("/capture?sn=")
    assert answer.fields["path"] == f"/devices/{number}?format=json"
    assert len(answer.body) == 3


def test_a_file_without_its_end_is_good_up_to_its_last_whole_line() -> None:
    content = written()
    whole = read(content)
    for place in range(len(content) - 1, 400, -37):
        found = read(content[:place])
        assert found.end == ""
        assert found.frames == whole.frames[: len(found.frames)]
    assert len(read(written(end=False)).frames) == len(whole.frames)


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (0, {"version": 2}, "version 2, and this pump plays version 1"), (0, {"version": None}, "version"),
        (0, {"format": "x"}, "no recording"), (0, {"begun": "yesterday"}, "line 1"), (0, {"type": ...}, "line 1"),
        (1, {"kind": "gossip"}, "line 2 is of no kind"), (1, {"kind": ["push"]}, "line 2"), (1, {"at": -1}, "line 2"),
        (1, {"at": "0"}, "line 2 has no time"), (1, {"method": 5}, "line 2 lacks method"), (1, {"text": ...}, "line 2"),
        (2, {"base64": "?"}, "line 3 has no body"), (3, {"headers": {"a": 1}}, "line 4"), (4, {"link": True}, "line 5"),
        (1, {"kind": "end", "why": "x"}, "line 2 is the end"),
    ],
)  # fmt: skip
def test_rubbish_is_refused_with_a_clear_word(line: int, change: dict[str, Any], said: str) -> None:
    lines = written().splitlines(keepends=True)
    fields = {**json.loads(lines[line]), **change}
    fields = {name: value for name, value in fields.items() if value is not ...}
    lines[line] = json.dumps(fields).encode() + b"\n"
    with pytest.raises(RecordingError, match=said):
        read(b"".join(lines))


@pytest.mark.parametrize("content", [b"", b"{", b"\n", b"[]\n", b"\xff\xd8\xff\n", b"x\n" * 3, b"{}\n", written()[:50]])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(RecordingError, match=r"recording|line 1"):
        read(content)
    lines = written().splitlines(keepends=True)
    with pytest.raises(RecordingError, match="line 3 is no JSON"):
        read(b"".join([*lines[:2], b"rubbish\n", *lines[2:]]))


async def test_the_queue_has_its_bound_and_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "WAITING", 10_000)
    tap = Tap(ManualClock())
    link = tap.open("GET", "/stream", {})
    recording = tap.begin()
    for _ in range(100):
        link.chunk(b"x" * 1000)
    frames = recording.taken()
    assert 0 < len(frames) < 10
    assert recording.left_out == 101 - len(frames)
    link.chunk(b"y")  # there is room again: it says that bytes before it are missing
    link.chunk(b"z")
    assert [frame.torn for frame in recording.taken()] == [True, False]
    tap.end("enough")
    link.chunk(b"late")
    assert recording.taken() == []
    await recording.wait()


def test_a_stream_that_stands_is_joined_and_a_source_s_new_beginning_is_the_end() -> None:
    tap = Tap(ManualClock())
    link = tap.open("GET", "/stream", {})
    recording = tap.begin(anew=True)
    assert [frame.fields["joined"] for frame in recording.taken()] == [True]
    tap.begun()
    assert tap.recording is recording
    tap.begun()
    assert recording.ended == "the source began anew"
    tap.begin()  # another may be begun
    link.close()
    link.close()
