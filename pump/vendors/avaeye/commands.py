"""Commands to cameras: who can be commanded, where each is, and by which way a command goes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Refusal, Unavailable
from pump.core.net.addresses import literal
from pump.ingest.devices import Device, Devices
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.lockout import LoginLockout
from pump.vendors.avaeye import about, lapi, mqtt
from pump.vendors.avaeye.broker import Broker
from pump.vendors.avaeye.carried import VERBS as CARRIED
from pump.vendors.avaeye.carried import Carrier
from pump.vendors.avaeye.parse import Message
from pump.vendors.avaeye.settings import AvaEyeSettings, CameraSettings, Control, ListModes

PREFIX: Final = "camera/"
AT_ONCE: Final = 16
"""Calls under way, of one source."""
PATIENCE: Final = 10.0
"""Seconds after a command's expiry; whoever asked for it has ended it before."""
_NOTHING: Final = CameraSettings()
Way = Callable[[str, Command], Awaitable[CommandResult]]


class _CannotSay(Refusal):
    """This way has no words for it; another may have."""


def _everybody(key: str) -> bool:
    return key.rpartition("/")[2].strip().lower() in mqtt.EVERYBODY


class Commands:
    """Of one source. `table` gives its device table, None before that is made."""

    def __init__(
        self, settings: AvaEyeSettings, clock: Clock, table: Callable[[], Devices | None], broker: Broker | None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._table = table
        self._named = dict.fromkeys(sorted(key for key in settings.named_devices() if "/" in key))
        """Cameras that the configuration names with their park."""
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._lockouts: dict[str, LoginLockout] = {}
        """By the address at which a password was rejected; in memory, for only operators cause tries."""
        self.carrier = Carrier(clock)
        self.broker = broker

    # --- who --------------------------------------------------------------------------------------------------------

    def targets(self) -> Iterator[Target]:
        """Known cameras that are in the table, and those that the configuration names with their park."""
        table = self._table()
        keys = {key: self._row(key).name for key in self._named}
        for device in table or ():
            if table is not None and not table.stranger(device.key):
                keys[device.key] = self._row(device.key).name or device.facts.get("name")
        for key, name in keys.items():
            if _everybody(key):
                continue
            if verbs := self._verbs(key):
                yield Target(PREFIX + key, sorted(verbs), name)

    def verbs(self, target: str) -> Collection[str]:
        """As `Source.verbs`."""
        key = target.removeprefix(PREFIX)
        if key == target or "/" not in key or not self._known(key):
            return ()
        return sorted(self._verbs(key))

    def _known(self, key: str) -> bool:
        if _everybody(key):
            return False
        table = self._table()
        if table is not None and table.get(key) is not None:
            return not table.stranger(key)
        return key in self._named

    def _verbs(self, key: str) -> frozenset[str]:
        return frozenset().union(*(verbs for _, verbs in self._ways(key)))

    def _ways(self, key: str) -> Iterator[tuple[Way, frozenset[str]]]:
        """By which ways it may be commanded, the most direct first, each with what it can do there."""
        control = self._control(key)
        if control in ("auto", "lapi") and self._address(key) is not None:
            yield self._called, lapi.VERBS
        if control in ("auto", "mqtt") and self.broker is not None and self._listens(key):
            yield self._ordered, mqtt.VERBS if self._modes(key) is not None else mqtt.VERBS - mqtt.LISTING
        if control in ("auto", "keepalive"):
            yield self._carried, CARRIED

    def _listens(self, key: str) -> bool:
        """True unless the camera itself has reported that it uses no broker, or its park is not known."""
        table = self._table()
        device = None if table is None else table.get(key)
        return not key.startswith("-/") and (device is None or device.facts.get("mqtt") is not False)

    def _modes(self, key: str) -> ListModes | None:
        return self._row(key).list_modes or self._settings.list_modes

    def _row(self, key: str) -> CameraSettings:
        cameras = self._settings.cameras
        return cameras.get(key) or cameras.get(key.partition("/")[2]) or _NOTHING

    def _control(self, key: str) -> Control:
        return self._row(key).control or self._settings.control

    # --- where ------------------------------------------------------------------------------------------------------

    def _address(self, key: str) -> str | None:
        """Where its interface is; None where nobody said so who is believed, or there is no login for it."""
        row = self._row(key)
        if self._login(row) is None:
            return None
        if row.url is not None:
            return row.url
        table = self._table()
        device = None if table is None else table.get(key)
        if table is None or device is None or table.stranger(key):
            return None
        return self._reported(device)

    def _reported(self, device: Device) -> str | None:
        """The address that the camera itself reported, where a camera can be at it at all."""
        if device.facts.keys() <= about.UNSAID:
            return None  # it is where a keep-alive came from, and may be a proxy
        address = literal(str(device.facts.get("address", "")))
        if address is None or address.is_loopback or address.is_multicast or address.is_unspecified:
            return None
        if isinstance(address, ipaddress.IPv6Address) and (address.is_link_local or address.ipv4_mapped is not None):
            return None
        allow = self._settings.allow
        if allow and not any(address in network for network in allow):
            return None  # who may not push from there is not sent a login there either
        return f"http://[{address}]" if address.version == 6 else f"http://{address}"

    def _login(self, row: CameraSettings) -> tuple[str, str] | None:
        settings = self._settings
        username, password = row.username or settings.username, row.password or settings.password
        return None if username is None or password is None else (username, password.get_secret_value())

    # --- how --------------------------------------------------------------------------------------------------------

    async def do(self, command: Command) -> CommandResult:
        """As `Source.command`: by the first way by which the camera is reached. After it was sent there is no other."""
        key = command.target.removeprefix(PREFIX)
        if _everybody(key):
            raise Refusal("this id stands for every camera of a parking lot, and commands are for one")
        failed: Exception | None = None
        for way, verbs in self._ways(key):
            if command.verb not in verbs:
                continue
            try:
                return await way(key, command)
            except (Unavailable, Misconfigured, _CannotSay) as error:
                if command.sent:
                    raise
                failed = failed or error
        raise failed or Unavailable(f"there is no way to {command.target} now")

    def settle(self, message: Message) -> None:
        """A result may have come; to be called for every message of a known camera that was stored."""
        self.carrier.settle(message)
        if self.broker is not None:
            self.broker.settle(message)

    async def _carried(self, key: str, command: Command) -> CommandResult:
        """By the answer to the camera's next keep-alive."""
        return await self.carrier.carry(key, command, self._spaces(key))

    async def _ordered(self, key: str, command: Command) -> CommandResult:
        """Through the broker."""
        assert self.broker is not None  # else it is no way
        about = mqtt.About(self._clock.now().timestamp(), self._spaces(key), self._modes(key))
        if command.verb == "lamp.set" and command.arguments.get("mode") == "auto":
            raise _CannotSay("only the answer to a keep-alive leaves the lamps to the camera")
        return await self.broker.order(key, command, mqtt.order(command, about))

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As `Source.call`: of one camera's own interface."""
        if call.device is None:
            able = [key for target in self.targets() if self._address(key := target.subject.removeprefix(PREFIX))]
            if len(able) != 1:
                raise Refusal(f"say which camera it is for: {len(able)} have an address and a login")
            key = able[0]
        else:
            key = call.device
        url = self._address(key) if self._known(key) else None
        if url is None:
            raise Refusal("no such camera has an address and a login")
        answer = await self._answer(key, url, command, call.method, call.path, call.body, call.content_type, exact=True)
        code = None if answer.status != 200 else lapi.status_code(answer.body)
        no = "" if code in (None, 0) else f"the camera answers StatusCode {code}"
        return RawAnswer(answer.status, answer.content_type, answer.body, no)

    async def _called(self, key: str, command: Command) -> CommandResult:
        """By the camera's own interface."""
        url = self._address(key)
        assert url is not None  # else it is no way
        call = lapi.call(command.verb, command.arguments, self._clock.now().timestamp())
        answer = await self._answer(key, url, command, call.method, call.path, call.body, call.content_type)
        return lapi.result(answer.status, answer.body)

    async def _answer(
        self, key: str, url: str, command: Command, method: str, path: str, body: bytes, content_type: str,
        *, exact: bool = False,
    ) -> Answer:  # fmt: skip
        """One call of the camera's interface, sent once; again only where it was challenged for the password."""
        login = self._login(self._row(key))
        assert login is not None  # an address without one is none
        lockout = self._lockout(url, *login)
        lockout.check()
        client = DigestClient(url, username=login[0], password=login[1])
        try:
            async with self._turns:
                return await client.request(
                    method, client.exact(path) if exact else path, body=body, content_type=content_type,
                    timeout=command.remaining + PATIENCE, sending=command.sending,
                )  # fmt: skip
        except ConnectionLost as lost:
            raise Unavailable(lost.reason) from None
        except UnexpectedStatus as refused:
            if not refused.answer.stale:
                lockout.note("the camera rejects username or password, which are not tried again for 10 minutes", None)
            raise Refusal("the camera rejects username or password") from None

    def _lockout(self, url: str, *login: str) -> LoginLockout:
        at = f"{url} {login[0]}"
        if at not in self._lockouts:
            if len(self._lockouts) >= 1000:
                self._lockouts.clear()
            self._lockouts[at] = LoginLockout(self._clock, login)
        return self._lockouts[at]

    def _spaces(self, key: str) -> list[str]:
        table = self._table()
        device = None if table is None else table.get(key)
        rows = device.facts.get("space_ids", []) if device is not None else []
        return [row["id"] for row in rows if isinstance(row, dict) and row.get("id")]
