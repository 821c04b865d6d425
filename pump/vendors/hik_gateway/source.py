"""The Device Gateway as a source: one subscription, kept alive (document, 6.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.device import DeviceLogin, DeviceParts
from pump.ingest.intake import Intake
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.stream.client import device_client
from pump.ingest.stream.connection import StreamOptions
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import LoginLockout
from pump.ingest.stream.stream import Stream
from pump.source import Source
from pump.vendors.common import hik_cid
from pump.vendors.hik_gateway import codes, control, panels
from pump.vendors.hik_gateway.answers import Trouble, trouble
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.handler import GatewayHandler
from pump.vendors.hik_gateway.parse import Device, loads
from pump.vendors.hik_gateway.settings import HikGatewaySettings
from pump.vendors.hik_gateway.subscriber import Subscriber
from pump.vendors.hik_gateway.subscription import Wanted, amended
from pump.vendors.hik_gateway.trial import try_out

_GARBAGE: Final = 1 << 20
"""Bytes without a part after which the stream is not believed to come to itself again."""


@dataclass(slots=True, frozen=True)
class _Parts:
    """What the first run makes of the settings, and later ones take up."""

    keeper: Subscriber
    stream: Stream
    client: Client


_PERSONAL: Final = "devindex username"
_KEPT: Final = "cidcode eventdescription ciddescribe"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes, hik_cid, panels)
)
"""Fields that a recording replaces or keeps where the general rule cannot know (pump/ingest/recording/fields.py)."""


class HikGateway(Source[HikGatewaySettings]):
    """Reads one gateway's stream for as long as the task lives.

    Its state in the spool: `incident/<matter>`, the open alarms; `alarm/<place>`, the newest ones, for their clips;
    `status/<devIndex>`, who is online; `inventory`, the devices' names; `stream/rejected`,
    until when a password that was not taken is not tried again (with a hash of it, so that a new one is tried at once).
    """

    Settings = HikGatewaySettings
    recorded = FIELDS

    def __init__(self, name: str, settings: HikGatewaySettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._wanted = Wanted(settings.events, dict(settings.devices) if settings.by_device else None)
        self._parts: _Parts | None = None
        self._device: DeviceParts | None = None

    def pictures(self) -> PictureAccess:
        """Clips on the gateway itself, by digest login (document, 7.2 step 5, 8.6.1)."""
        login = DeviceLogin(lambda: self._device, self.clock)
        return PictureAccess(own=self.settings.url, login=login.open)

    @property
    def keeper(self) -> Subscriber:
        """The subscription's. Raises Refusal before the first run."""
        return self._running.keeper

    @property
    def stream(self) -> Stream:
        """The gateway's. Raises Refusal before the first run."""
        return self._running.stream

    @property
    def _running(self) -> _Parts:
        if self._parts is None:
            raise Refusal("the source does not run yet; ask again when it does")
        return self._parts

    def hurry(self) -> None:
        """A password that was rejected may be tried again now."""
        if self._parts is not None:
            self._parts.stream.hurry()

    async def run(self, intake: Intake) -> None:
        """As Source.run; a cancellation closes the subscription, for few are to be had.

        Raises Misconfigured for a rejected password and an unusable `ca`.
        """
        if self._parts is None:
            self._parts = self._make(intake)
        intake.gaps.fills()  # by the states that are read after each connection
        self._parts.keeper.load()
        await self._parts.stream.run()

    async def try_out(self, trial: Trial) -> None:
        """As Source.try_out."""
        await try_out(device_client(self.settings), self._wanted, self.clock, trial)

    def _make(self, intake: Intake) -> _Parts:
        settings, clock = self.settings, self.clock
        password = settings.password.get_secret_value()
        link = device_client(settings, intake.count, intake.tap)
        store = StreamIntake(intake, clock)
        lockout = LoginLockout(clock, (settings.url, settings.username, password))
        self._device = DeviceParts(link, lockout, lambda answer: trouble(answer, "a clip").reason)
        client = Client(link, lockout, store)
        keeper = Subscriber(settings, self._wanted, client, clock=clock, lockout=lockout, store=store)
        options = StreamOptions(
            heartbeat_timeout=settings.heartbeat_timeout, judges={"*": loads}, most_skipped=_GARBAGE, peer="gateway"
        )
        handler = GatewayHandler(intake, keeper)
        return _Parts(keeper, Stream(store, link, handler, clock=clock, lockout=lockout, options=options), client)

    def targets(self) -> Iterable[Target]:
        """As Source.targets, by the gateway's list and the configured names."""
        return () if self._parts is None else control.targets(self._devices, self.settings.names)

    def verbs(self, target: str) -> Collection[str]:
        """As Source.verbs; of devices that the gateway's list has."""
        part = control.Part.of(target)
        return () if part is None else control.verbs_of(part, self._devices)

    async def command(self, command: Command) -> CommandResult:
        """As Source.command; "done" is a ResponseStatus that says so (8.4, 9.23)."""
        part = control.Part.of(command.target)
        if part is None or command.verb not in control.verbs_of(part, self._devices):
            raise Refusal("the gateway has no such device")
        if self._parts is None:
            raise Unavailable("the source does not run yet; ask again when it does")
        return await control.do(command, part, self._devices[part.index], self._parts.client)

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Source.call, with the gateway's digest login."""
        return await control.call(command, call, self._running.client)

    @property
    def _devices(self) -> Mapping[str, Device]:
        return {} if self._parts is None else self._parts.keeper.context.devices

    async def change(
        self, *, events: tuple[str, ...] | None = None, devices: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Want other events from now on, as `Subscriber.change`. Raises Trouble where the gateway refuses."""
        await self.keeper.change(events=events, devices=devices)

    async def subscribe(
        self,
        device: str | None,
        *,
        types: Sequence[str] | None = None,
        add: Sequence[str] = (),
        drop: Sequence[str] = (),
        leave: bool = False,
    ) -> dict[str, Any]:
        """See `pump.ops.subscribe.Subscribable`. With eventMode all it is for all devices, and a new subscription."""
        try:
            anew = await self._amend(device, types, add, drop, leave=leave)
        except ValueError as error:
            raise Refusal(str(error)) from None
        except Trouble as trouble:
            raise Refusal(trouble.reason) from None
        return {**self.keeper.wanted.told(), "anew": anew, "connected": self.stream.connected}

    async def _amend(
        self, device: str | None, types: Sequence[str] | None, add: Sequence[str], drop: Sequence[str], *, leave: bool
    ) -> bool:
        wanted = self.keeper.wanted
        asked = types is not None or bool(add) or bool(drop)
        if device is None:
            if leave:
                raise ValueError("name the device of which nothing is wanted")
            now = amended(wanted.events, types=types, add=add, drop=drop)
            return await self.keeper.change(events=now) if asked else False
        if wanted.devices is None:
            raise ValueError(
                'all devices are subscribed to by one order (event_mode "all"): leave the device out, or set '
                'event_mode = "device" in pump.toml'
            )
        known = device in wanted.devices
        if not known and (leave or (types is None and not add)):
            raise ValueError(f"the device {device} is not subscribed to")
        if leave:
            return await self._change_device(device, None)
        if not known and types is None:
            types = ()
        now = amended(wanted.types(device), types=types, add=add, drop=drop)
        return await self._change_device(device, now) if asked else False

    async def _change_device(self, device: str, types: tuple[str, ...] | None) -> bool:
        """None: nothing is wanted of it. What is asked holds against the gateway's list for as long as we run."""
        wanted = self.keeper.wanted
        devices = dict(wanted.devices or {})
        devices.pop(device, None)
        if types is not None:
            devices[device] = types
        anew = await self.keeper.change(devices=devices)
        wanted.asked[device] = types
        return anew
