"""The part of an event that a sink sees: without the vendor's message or personal data, if its settings say so.

A record is never changed, for other sinks get the same one; a new one with another body takes its place. The same
event always comes out the same, also in another process: sinks know by it what they have.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from pump.core.record import Record
from pump.core.settings import MaskWith, SinkSettings
from pump.core.text import fitted

_SLICE: Final = 50
"""Events at a time; between slices the loop serves others."""
_MASKED: Final = "***"
_GONE: Final = object()

_Path = tuple[str, ...]
_Hide = Callable[[Any], Any]
"""Makes of a text or number what the sink sees, or `_GONE`."""


class Masking:
    """A sink's `raw`, `mask`, `mask_with` and `mask_key`. False where the settings ask for nothing."""

    def __init__(self, settings: SinkSettings) -> None:
        self._raw = settings.keeps_raw
        self._paths: list[_Path] = [tuple(path.split(".")) for path in settings.mask]
        key = settings.mask_key.get_secret_value().encode() if settings.mask_key else b""
        self._hide = _hiding(settings.mask_with, key)

    def __bool__(self) -> bool:
        return bool(self._paths) or not self._raw

    async def apply(self, records: Sequence[Record]) -> list[Record]:
        """The records as the sink may see them."""
        shaped: list[Record] = []
        for start in range(0, len(records), _SLICE):
            if start:
                await asyncio.sleep(0)
            shaped += [record._replace(body=self.body(record.body)) for record in records[start : start + _SLICE]]
        return shaped

    def body(self, body: bytes) -> bytes:
        """One event as the sink may see it."""
        event = orjson.loads(body)
        data = event.get("data")
        if not self._raw and isinstance(data, dict):
            data.pop("raw", None)
        for path in self._paths:
            _walk(event, path, self._hide)
        return fitted(orjson.dumps(event))


def _walk(value: Any, path: _Path, hide: _Hide) -> None:
    """Hide what `path` leads to inside `value`. A name also leads through lists, into each of their elements."""
    name, rest = path[0], path[1:]
    if isinstance(value, dict):
        for key in list(value) if name == "*" else [name] if name in value else ():
            _visit(value, key, rest, hide)
    elif isinstance(value, list):
        for place in range(len(value) - 1, -1, -1):
            if name == "*":
                _visit(value, place, rest, hide)
            else:
                _visit(value, place, path, hide)


def _visit(holder: Any, key: Any, rest: _Path, hide: _Hide) -> None:
    inner = holder[key]
    if not rest or (rest == ("*",) and not isinstance(inner, dict | list)):
        # "person.*" hides also a person that is a plain text: of two readings the one that shows less
        shown = _hidden(inner, hide)
        if shown is _GONE:
            del holder[key]
        else:
            holder[key] = shown
    elif isinstance(inner, dict | list):
        _walk(inner, rest, hide)


def _hidden(value: Any, hide: _Hide) -> Any:
    """Of a group every value is hidden, its names stay."""
    if isinstance(value, dict):
        shown = {key: _hidden(inner, hide) for key, inner in value.items()}
        return {key: inner for key, inner in shown.items() if inner is not _GONE} or _GONE
    if isinstance(value, list):
        return [inner for inner in (_hidden(inner, hide) for inner in value) if inner is not _GONE] or _GONE
    return hide(value)


def _hiding(how: MaskWith, key: bytes) -> _Hide:
    # BLAKE2 takes keys of 64 bytes at the most
    derived = hashlib.blake2b(key, digest_size=32, person=b"pump mask").digest()

    def drop(_: Any) -> Any:
        return _GONE

    def mask(value: Any) -> Any:
        return _MASKED if isinstance(value, str) else _GONE

    def hashed(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return _GONE  # one of two or three hashes would tell it
        return hashlib.blake2b(orjson.dumps(value), key=derived, digest_size=16).hexdigest()

    return {"drop": drop, "mask": mask, "hash": hashed}[how]
