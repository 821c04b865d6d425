"""The words in which vendors, sinks and the oracle speak of events: what is due, and what was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from pump.vendors.hik_camera.simulator.messages import identity as camera_identity
from pump.vendors.hik_connect.simulator.messages import identity as queue_identity
from pump.vendors.hik_gateway.simulator.messages import identity as gateway_identity

Key = tuple[str, str]
"""An event's source and id."""


class Due(NamedTuple):
    """What a vendor was told that the pump has, or has written whole into a stream."""

    source: str
    """The name in pump.toml."""
    identity: str
    """The vendor's own, see `IDENTITIES`."""
    since: float | None = None
    """Of a stream's message: when it was made, seconds since 1970 by the right clock; None: it was acknowledged."""
    until: float | None = None
    """When it had been written."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a sink's peer has it."""

    key: Key
    type: str
    identity: str | None
    """The vendor's record that it was made of; None for the pump's own and for what speaks of pictures."""
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    """Of the pump's own events alone."""
    filled: bool = False
    """It came from the vendor's log, without the queue's identity; its record in the queue is no event then."""

    @property
    def source(self) -> str:
        """The name in pump.toml."""
        return self.key[0].rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Held:
    """All that one sink's peer has, in order, what came twice twice."""

    events: list[Seen]
    once: bool
    """Each event must be there once."""
    dead: frozenset[Key] = frozenset()
    """Its dead letters."""
    refuses: Callable[[Key], bool] = lambda key: False
    """Of which events it never takes, so that they become dead letters."""


def _camera(raw: Mapping[str, Any]) -> str | None:
    number = camera_identity(raw)
    return None if number is None else str(number)


def _plate(raw: Mapping[str, Any]) -> str | None:
    params = raw.get("params")
    found = params.get("recordId") if isinstance(params, dict) else None
    return found if isinstance(found, str) else None


def _bay(raw: Mapping[str, Any]) -> str | None:
    return bay_identity(raw["sn"], raw["updated_at"]) if "sn" in raw and "updated_at" in raw else None


def bay_identity(sn: object, updated: object) -> str:
    """Of a status of a lock or sensor."""
    return f"{sn} {updated}"


def short(text: str) -> str:
    """A name of fixed length for a long one."""
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


IDENTITIES: Final[Mapping[str, Callable[[Mapping[str, Any]], str | None]]] = {
    "hik-connect": queue_identity,
    "hik-gateway": lambda raw: short(gateway_identity(dict(raw))),
    "hik-camera": _camera,
    "avaeye": _plate,
    "kinot": _bay,
}
"""By vendor: the record that stands in an event's `data.raw`, by the name that its simulator accounts for it under."""


def seen(body: bytes) -> Seen:
    """An event as it arrived. Raises ValueError for what is none."""
    event = orjson.loads(body)
    data, raw = event["data"], event["data"].get("raw")
    known = IDENTITIES.get(data["vendor"]) if isinstance(raw, dict) else None
    identity = known(raw) if known is not None else None
    digest = short(orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode())
    own = data if event["type"].startswith("pump.") else {}
    return Seen((event["source"], event["id"]), event["type"], identity, digest, own, data.get("reconciled") is True)
