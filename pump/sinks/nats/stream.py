"""The stream behind a JetStream sink: found and compared with the configuration, or created from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from pump.core.errors import Misconfigured, Unavailable
from pump.core.taxonomy import TYPES
from pump.sinks.nats.link import said_by
from pump.sinks.nats.settings import NatsSettings

log = structlog.get_logger()

_ANSWER: Final = 5.0
"""Seconds for an answer of JetStream's API."""
_MEND: Final = frozenset({10002, 10023, 10025, 10026, 10028, 10039, 10047, 10052, 10058, 10065, 10074, 10076})
"""err_codes that a person mends: no JetStream, no room for it, subjects of another stream, replicas without servers."""


@dataclass(frozen=True)
class Wanted:
    """What the configuration says of the stream. Sizes in bytes, times in seconds; 0 is without a limit."""

    name: str
    subjects: tuple[str, ...]
    """Of a new one."""
    needed: tuple[str, ...]
    """Of one that is there."""
    create: bool
    replicas: int
    max_age: float
    max_bytes: int
    storage: str
    duplicate_window: float


async def ensure(client: Client, wanted: Wanted, *, look: bool = False) -> bool:
    """Find the stream, or create it; what differs is logged and left alone. Raises Misconfigured, Unavailable.

    True where it was there. With `look` it is never created.
    """
    jetstream = client.jetstream(timeout=_ANSWER)
    config = StreamConfig(
        name=wanted.name,
        subjects=list(wanted.subjects),
        num_replicas=wanted.replicas,
        max_age=wanted.max_age,
        max_bytes=wanted.max_bytes or -1,
        storage=StorageType(wanted.storage),
        duplicate_window=wanted.duplicate_window,
        discard=DiscardPolicy.OLD,
        description="events of a pump",
    )
    try:
        try:
            found = (await jetstream.stream_info(wanted.name)).config
        except NotFoundError:
            if not wanted.create:
                raise Misconfigured(f"there is no stream {wanted.name}, and create is false") from None
            if look:
                return False
            await jetstream.add_stream(config)
            log.info("A stream was created", stream=wanted.name, replicas=wanted.replicas)
            return False
    except APIError as error:
        if error.err_code in _MEND:
            raise Misconfigured(f"the stream {wanted.name} cannot be had: {error.description}") from error
        raise Unavailable(f"the stream {wanted.name} cannot be had now: {error.description}") from error
    except nats.errors.Error as error:
        server = client.connected_url.netloc if client.connected_url is not None else "the server"
        raise Unavailable(f"JetStream of {server} does not answer about {wanted.name}: {said_by(error)}") from error
    taken = found.subjects or []
    missing = [subject for subject in wanted.needed if not any(covers(one, subject) for one in taken)]
    if missing:
        raise Misconfigured(f"the stream {wanted.name} does not take {', '.join(missing)}: change it, or its subjects")
    differs = {
        "replicas": (found.num_replicas, wanted.replicas),
        "max_age": (found.max_age or 0.0, wanted.max_age),
        "max_bytes": (max(0, found.max_bytes or 0), wanted.max_bytes),
        "duplicate_window": (found.duplicate_window, wanted.duplicate_window),
    }
    if any(is_ != should for is_, should in differs.values()):
        log.warning(
            "The stream differs from the configuration and is left as it is",
            stream=wanted.name,
            **{name: f"{is_}, configured {should}" for name, (is_, should) in differs.items() if is_ != should},
        )
    return True


def subjects(settings: NatsSettings, site: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The subjects of a new stream for these settings, and those that one must have.

    They are what each of the template begins with, and anything behind it. Where commands come on such a subject the
    stream would store them, and its acknowledgement be the first answer to who asks: then the domains of types are
    named one by one, and of commands the types of their events.
    """
    if settings.subjects:
        named = tuple(one.replace("{site}", site) for one in settings.subjects)
        return named, named
    levels = settings.subject.replace("{site}", site).split(".")
    fixed = next((place for place, level in enumerate(levels) if "{" in level), None)
    if fixed is None:
        one = (".".join(levels),)
        return one, one
    head = ".".join(levels[:fixed])
    whole = (f"{head}.>",)
    if levels[fixed] != "{type:levels}":
        return whole, whole
    end = "" if fixed == len(levels) - 1 else ".>"
    domains = dict.fromkeys(one.partition(".")[0] for one in sorted(TYPES))
    apart = (
        *(f"{head}.{one}.>" for one in domains if one != "command"),
        *(f"{head}.{one}{end}" for one in sorted(TYPES) if one.startswith("command.")),
    )
    return apart if settings.command_prefix(site) == f"{head}.command" else whole, apart


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject that the filter `narrow` matches is matched by `wide` too."""
    wides, narrows = wide.split("."), narrow.split(".")
    for place, token in enumerate(wides):
        if token == ">":
            return len(narrows) > place
        if place >= len(narrows) or narrows[place] == ">" or (token != "*" and token != narrows[place]):
            return False
    return len(wides) == len(narrows)
