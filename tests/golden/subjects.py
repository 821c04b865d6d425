"""Every name of the pump that the golden tests use. After a move this file alone is pointed to the new places."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp

import pump.vendors
from pump import registry
from pump.cli import COMMANDS, group
from pump.config import load
from pump.config.model import ServerSettings
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.core.event import Event, Unparsed, encode
from pump.core.settings import SinkSettings
from pump.delivery.shutoff import SinkShutoff
from pump.ingest.devices import Devices
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.ingest.push.listener import PushListener, Route
from pump.ingest.stream.lockout import LoginLockout
from pump.ops.control import ask
from pump.runtime.daemon import Daemon
from pump.spool import Cursor, Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.standins import StandIns
from pump.vendors.hik_camera.access import ACCESS
from pump.vendors.hik_camera.codes import EVENTS
from pump.vendors.hik_camera.device import facts as device_facts
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts
from pump.vendors.hik_camera.parse import parse as parse_alert
from pump.vendors.hik_connect.parse import normalise
from pump.vendors.hik_connect.simulator import control as simulator_control
from pump.vendors.hik_connect.subscription import SubscriptionState
from pump.vendors.hik_connect.uploads import Uploads
from pump.vendors.hik_gateway import inventory
from pump.vendors.hik_gateway.incidents import PREFIX as INCIDENT
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.parse import Context, Device, loads
from pump.vendors.hik_gateway.parse import parse as parse_part
from pump.vendors.kinot import parse as kinot
from pump.vendors.kinot.client import objects_of
from pump.vendors.kinot.numbers import decode

__all__ = [
    "ACCESS",
    "COMMANDS",
    "EVENTS",
    "INCIDENT",
    "Clock",
    "Cursor",
    "Daemon",
    "Device",
    "Devices",
    "Event",
    "Health",
    "Incidents",
    "Intake",
    "ManualClock",
    "Metrics",
    "OpenIncidents",
    "Receipt",
    "Refusal",
    "Spool",
    "SpoolSettings",
    "StandIns",
    "Unavailable",
    "Unparsed",
    "ask",
    "encode",
    "group",
    "inventory",
    "load",
    "registry",
    "simulator_control",
]  # fmt: skip

ARRIVED: Final = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""When everything arrives."""
SITE: Final = "north"
VENDORS: Final = ("avaeye", "hik_camera", "hik_connect", "hik_gateway", "kinot")
PARIS: Final = ZoneInfo("Europe/Paris")
FACTS: Final = Facts(
    serial="DS-2CD000020260101AAWRTEST00001", name="North gate", model="DS-2CD0000", category="IPCamera",
    names={"1": "Lane 1", "33": "Yard"}, qualifier="hik_camera",
)  # fmt: skip
DEVICES: Final = {
    "2cd6716d-767f-4756-ac55-50276a5e3b4a": Device(name="Main panel", model="DS-PWA96", serial="Q1", category="panel")
}
CREDENTIALS: Final = ("admin", "wrong")
_KINDS: Final = {"lockers": "lock", "sensors": "sensor"}


@dataclass(slots=True)
class Put:
    """What a vendor's code hands to the intake for a message: the events, and the state stored with them."""

    events: list[Event | Unparsed]
    state: dict[str, Any]


def samples(vendor: str) -> dict[str, bytes]:
    """The committed samples of a vendor, by file name without its ending."""
    folder = Path(pump.vendors.__file__).parent / vendor / "samples"
    ending = "*.txt" if vendor == "avaeye" else "*.json"
    return {path.stem: path.read_bytes() for path in sorted(folder.glob(ending))}


async def read(vendor: str, messages: Iterable[bytes], folder: Path, *, apart: bool) -> list[Put]:
    """What the vendor's code makes of each sample, or of a text formed like one.

    `folder` is for pictures; `apart`: each meets a pump that nothing has come to before.
    """
    if vendor != "avaeye":
        return [_READERS[vendor](message) for message in messages]
    if not apart:
        return await _avaeye(messages, folder / "all")
    return [put for n, message in enumerate(messages) for put in await _avaeye([message], folder / str(n))]


def _camera(text: bytes) -> Put:
    sample, matters, put = json.loads(text), OpenIncidents(10.0), Put([], {})
    for now, body in enumerate([sample["body"], *sample.get("then", [])]):
        alert = parse_alert(dict(read_document(body.encode())), FACTS, PARIS)
        if not alert.heartbeat:
            events, state = matters.take(alert, float(now))
            put.events += events
            put.state |= state
    return put


def _connect(text: bytes) -> Put:
    sample, uploads, put = json.loads(text), Uploads(), Put([], {})
    for record in [*sample.get("before", []), sample["record"]]:
        put.events += normalise(sample["queue"], record, PARIS, ARRIVED, uploads)
    return put


def _gateway(text: bytes) -> Put:
    sample, put = json.loads(text), Put([], {})
    context = Context(zone=PARIS, url="http://gateway.example", devices=DEVICES)
    incidents = Incidents({})
    for part in [sample["part"], *sample.get("then", [])]:
        found = parse_part(loads(part.encode()), context)
        if found is not None:
            incidents.note(found, put.state)
            put.events.append(found.event)
    return put


def _kinot(text: bytes) -> Put:
    sample, put = json.loads(text), Put([], {})
    kind, state = sample["as"], sample.get("state")
    decoded = decode(sample["text"])
    for fields in objects_of(decoded) or [decoded]:
        if kind == "command":
            put.events.append(kinot.command(fields, PARIS, ARRIVED, state))
            continue
        if kind == "dtu_devices":
            status = kinot.gateway(fields, PARIS, ARRIVED)
        else:
            status = kinot.status(fields, PARIS, ARRIVED, _KINDS.get(kind))
        result = kinot.compare(status, state, every=sample.get("emit") == "all", reconciled=kind in _KINDS)
        put.events += result.events
        put.state[status.key] = result.state
    return put


_READERS: Final = {"hik_camera": _camera, "hik_connect": _connect, "hik_gateway": _gateway, "kinot": _kinot}


class Recording(Intake):
    """The real intake; what is put stays to be looked at."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.puts: list[Put] = []

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        put = Put(list(items), dict(state or {}))
        receipt = await super().put(*items, state=state, stranger=stranger)
        self.puts.append(put)  # only now: who waits for it may cancel the source, and finds it stored by the next run
        return receipt


async def _avaeye(messages: Iterable[bytes], folder: Path) -> list[Put]:
    """By the real listener, for identity, pictures and device table belong to what a camera's message becomes."""
    found = []
    async with _avaeye_listener(folder) as (url, intake), aiohttp.ClientSession() as http:
        for message in messages:
            path, _, body = message.partition(b"\n")
            intake.puts.clear()
            async with http.post(f"{url}/api/upark/{path.decode().strip()}", data=body) as answer:
                assert answer.status == 200, await answer.text()
            found.append(merged(intake.puts))
    return found


@asynccontextmanager
async def stored(folder: Path) -> AsyncIterator[tuple[Spool, ManualClock]]:
    """A spool that nobody has written to, with the time of arrival standing still."""
    clock = ManualClock(ARRIVED)
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    try:
        yield spool, clock
    finally:
        await spool.close()


def source(vendor: str, name: str, table: dict[str, Any], clock: Clock) -> Any:
    """A source of the vendor's kind, by its table of pump.toml."""
    kind = vendor.replace("_", "-")
    found = registry.source(kind)
    return found(name, found.Settings.model_validate({"type": kind, **table}), clock)


def merged(puts: Iterable[Put]) -> Put:
    """All of them as one."""
    found = Put([], {})
    for put in puts:
        found.events += put.events
        found.state |= put.state
    return found


@asynccontextmanager
async def _avaeye_listener(folder: Path) -> AsyncIterator[tuple[str, Recording]]:
    """A listener with the real source."""
    async with stored(folder) as (spool, clock):
        metrics = Metrics()
        intake = Recording(
            "gate", spool=spool, site=SITE, clock=clock, metrics=metrics, health=Health(clock),
            media=Media(folder / "media", clock=clock),
        )  # fmt: skip
        settings = ServerSettings.model_validate({"listen": "127.0.0.1:0"})
        listener = PushListener(settings, clock=clock, registry=metrics.registry)
        listener.swap([Route(source("avaeye", "gate", {}, clock), intake)])
        await listener.open()
        try:
            yield listener.url, intake
        finally:
            await listener.close()


# --- what the old spool's state is loaded by --------------------------------------------------------------------------


def open_matters(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The camera's open matters, loaded and stored again."""
    matters = OpenIncidents(10.0)
    matters.load(state, 0.0)
    return {key: asdict(one.matter) for key, one in matters.open.items()}


def ended_matters(state: Mapping[str, Any]) -> int:
    """How many ended matters the camera remembers."""
    matters = OpenIncidents(10.0)
    matters.load(state, 0.0)
    return len(matters.ended)


def camera_facts(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a camera said of itself."""
    return asdict(device_facts(kept))


def gateway_devices(stored: Any) -> dict[str, Any]:
    """The gateway's inventory, loaded and stored again."""
    return inventory.to_state(inventory.from_state(stored))


def gateway_incident(state: dict[str, Any], part: str) -> str | None:
    """The incident of a message that ends what was open when the spool was written."""
    found = parse_part(loads(part.encode()), Context(zone=PARIS, url="http://gateway.example", devices=DEVICES))
    assert found is not None
    Incidents(state).note(found, {})
    incident: str | None = found.event.data.get("incident")
    return incident


def queue_memory(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a queue's subscription, loaded and stored again."""
    return SubscriptionState.load(kept, kept["account"]).state()


def device_rows(intake: Intake, clock: Clock) -> dict[str, dict[str, Any]]:
    """The device table, loaded and stored again."""
    return {device.key: device.json() for device in Devices(intake, clock, vendor="avaeye", kind="camera")}


async def hear(intake: Intake, clock: Clock, key: str, interval: float, facts: dict[str, Any]) -> None:
    """Store a device's sign of life."""
    devices = Devices(intake, clock, vendor="avaeye", kind="camera")
    async with devices.heard(key, interval=interval, facts=facts) as sign:
        await intake.put(*sign.events, state=sign.state)


def _receiver() -> SinkSettings:
    given = {"type": "webhook", "url": "https://example.com/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    settings: SinkSettings = registry.sink("webhook").Settings.model_validate(given)
    return settings


async def shut_off(spool: Spool, name: str, reason: str, clock: Clock) -> None:
    """Shut a sink off, as its receiver's last word does."""
    await SinkShutoff(spool, name, _receiver(), clock=clock, metrics=Metrics()).shut_off(reason)


def shut_off_reason(spool: Spool, name: str, clock: Clock) -> str:
    """Why the sink is off, as its next start finds it."""
    shutoff = SinkShutoff(spool, name, _receiver(), clock=clock, metrics=Metrics())
    shutoff.restore()
    return shutoff.reason


def locked_out(clock: Clock) -> dict[str, Any]:
    """The state of a source whose password was rejected."""
    return LoginLockout(clock, CREDENTIALS).note("the password is wrong", 1800.0)


def lockout_left(state: Mapping[str, Any], clock: Clock) -> float:
    """Seconds that a source with this state still has to wait."""
    rejection = LoginLockout(clock, CREDENTIALS)
    rejection.load(state)
    return rejection.left


async def add_dead_letters(spool: Spool, sink: str, records: list[Any], reason: str) -> None:
    """Make dead letters of the records."""
    await spool.dead_letters.add(sink, records, reason, 3)
