"""AvaEye cameras, pushing: who may, what becomes of each message, what is answered (ANPR APIs 2.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

import structlog
from yarl import URL

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import MessageError, Unavailable
from pump.core.event import Unparsed
from pump.core.groups import Groups, Medium
from pump.ingest.devices import Device, Devices
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.hosts import HostRule, host_of
from pump.ingest.intake import Intake
from pump.ingest.media import Media, TooLarge
from pump.ingest.push.admission import Admission, within
from pump.ingest.push.request import IN_THREAD, Push, Refused, Response, json_response
from pump.ingest.recording.fields import RecordedFields
from pump.source import PushSource
from pump.vendors.avaeye import about, carried, codes, lapi, mqtt, parse, pictures
from pump.vendors.avaeye.broker import Broker
from pump.vendors.avaeye.commands import Commands
from pump.vendors.avaeye.parse import Camera, Message
from pump.vendors.avaeye.pictures import Picture
from pump.vendors.avaeye.secrets import strip, strip_ruin
from pump.vendors.avaeye.settings import AvaEyeSettings
from pump.vendors.common.images import mime_of
from pump.vendors.common.values import text

log = structlog.get_logger()

_METHODS: Final = frozenset(("POST", "PUT", "GET"))
_RUIN: Final = 64 << 10
"""Bytes that are kept of a body that cannot be read: looking through megabytes for secrets would hold up all others."""
_DONE: Final = Response(200, b'{"code":200,"message":"success"}')
_CAPTURED: Final = Response(200, b'{"code":200,"message":"success","data":""}')
_OURS: Final = frozenset((408, 429, 500, 503))
"""HTTP statuses that are not the message's fault."""
_PERSONAL: Final = "ownername parkid deviceid recordid requestid"
_KEPT: Final = "vehiclelogotype vehiclebrandtype resolution"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes, carried, lapi, mqtt)
)
"""Fields that a recording replaces or keeps where the general rule cannot know (pump/ingest/recording/fields.py)."""


class AvaEye(PushSource[AvaEyeSettings]):
    """Receives what the cameras of some parks push.

    Its state in the spool: `device/<park>/<device>`, the device table.
    """

    Settings: ClassVar[type[AvaEyeSettings]] = AvaEyeSettings
    recorded = FIELDS
    calls_devices = True

    def __init__(self, name: str, settings: AvaEyeSettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._zone = settings.time_zone or ZoneInfo("UTC")
        self._parks = frozenset(settings.park_ids)
        self._allowed = frozenset(settings.devices)
        self._table: Devices | None = None
        self._cameras: dict[str, Camera] = {}
        self._plain = Camera(zone=self._zone)
        self.broker = None if settings.broker is None else Broker(settings.broker, name, clock)
        self._commands = Commands(settings, clock, lambda: self._table, self.broker)

    @property
    def claims(self) -> Sequence[str]:
        return (parse.PREFIX,)

    def devices(self, intake: Intake) -> Devices:
        """The device table, made when it is first needed."""
        if self._table is None:
            named = self.settings.named_devices()
            self._table = Devices(intake, self.clock, vendor=parse.VENDOR, kind="camera", named=named)
        return self._table

    async def run(self, intake: Intake) -> None:
        """Tell which cameras fall silent; the listener brings what they send."""
        devices = self.devices(intake)
        intake.up()
        if self.broker is None:
            await devices.watch(self._groups_of)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(devices.watch(self._groups_of), name=f"source {self.name} devices")
            group.create_task(self.broker.run(intake.count), name=f"source {self.name} orders")

    async def try_out(self, trial: Trial) -> None:
        """As Source.try_out: the cameras' broker, where there is one; cameras themselves are only called to act."""
        trial.not_tried.append("the cameras, which come by themselves, and whose own interface takes commands alone")
        if self.broker is not None:
            await self.broker.reach()
            trial.found.append(f"the broker at {self.broker.address} takes the login")
            trial.not_tried.append("publishing an order")

    def pictures(self) -> PictureAccess:
        """The cameras' own addresses, as far as the configuration gives them: what a camera says of itself anybody
        may say who can push."""
        urls = [URL(camera.url) for camera in self.settings.cameras.values() if camera.url is not None]
        return PictureAccess(named=tuple(HostRule(host_of(url), url.port) for url in urls))

    def targets(self) -> Iterable[Target]:
        """See Source."""
        return self._commands.targets()

    def verbs(self, target: str) -> Collection[str]:
        """See Source."""
        return self._commands.verbs(target)

    async def command(self, command: Command) -> CommandResult:
        """See Source."""
        return await self._commands.do(command)

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """See Source: a camera's own interface, with its digest login."""
        return await self._commands.call(command, call)

    def waits(self, key: str) -> bool:
        """True where a command waits for the next keep-alive of the camera with this row of the device table."""
        return self._commands.carrier.waits(key)

    # --- a request --------------------------------------------------------------------------------------------------

    async def claim(self, push: Push) -> int:
        """By park, device and address; a source that names none of them takes what the others leave."""
        settings = self.settings
        if settings.allow and not within(push.peer, settings.allow):
            return 0
        fit = 1 + (2 if settings.allow else 0)
        if self._parks or self._allowed:
            try:
                message = await push.read(_message, _around)
            except MessageError:
                return fit
            if not self._knows(message):
                return 0
            fit += (4 if self._parks else 0) + (8 if self._allowed else 0)
        return fit

    async def handle(self, push: Push, intake: Intake, admission: Admission) -> Response:
        """See PushSource. Any message that may come and can be read is stored, whatever its path."""
        if push.method not in _METHODS:
            raise Refused(405, "POST is wanted")
        if self.settings.allow and not within(push.peer, self.settings.allow):
            intake.count("refused_address")
            raise Refused(403, "this address may not push")
        try:
            message = await push.read(_message, _around)
        except MessageError as error:
            admission.admit((self.name, "unreadable", push.peer))
            await self._keep_ruin(push, intake, str(error))
            raise Refused(400, str(error)) from error
        push.body = b""  # read, and it may be large: what waits for a disk need not hold it twice
        if (self._parks or self._allowed) and not self._knows(message):
            intake.count("refused_device")
            raise Refused(403, "this park or device is not configured")
        admission.admit((self.name, message.key or push.peer))
        intake.activity()
        if message.path == "basicinfo" or message.path in parse.ALIVE:
            return await self._alive(push, message, intake)
        return await self._store(message, intake)

    def failure(self, push: Push, refused: Refused) -> Response:
        """`code` 301 where the message is to blame, 101 where it is not (document, Status Code)."""
        code = codes.COMMON_ERROR if refused.status in _OURS else codes.INVALID
        reason = f"{codes.STATUSES[code]}: {refused.reason}"
        return json_response({"code": code, "message": reason}, refused.status)

    def _knows(self, message: Message) -> bool:
        if self._parks and message.park not in self._parks:
            return False
        return not self._allowed or message.device in self._allowed or message.key in self._allowed

    async def _keep_ruin(self, push: Push, intake: Intake, reason: str) -> None:
        """Keep what could not be read; what a basicinfo held is not kept at all, for keys may stand anywhere in it."""
        raw: bytes | dict[str, Any]
        raw, digest = await push.read(_ruin)
        if len(push.body) > _RUIN:
            reason += f"; the first {_RUIN >> 10} KiB of {len(push.body)} bytes are kept"
        if "basicinfo" in push.path.lower():
            raw = {"path": push.path[:200], "bytes": len(push.body), "digest": digest}
        intake.count("unreadable")
        item = Unparsed(raw, f"{push.path[:200]}: {reason}", identity=(parse.VENDOR, push.path, digest))
        await intake.put(item, stranger=True)  # whoever sent it did not say so that it could be read

    # --- signs of life ----------------------------------------------------------------------------------------------

    async def _alive(self, push: Push, message: Message, intake: Intake) -> Response:
        """Basic Data and Heartbeat Keep-alive: the device table has them; they are no events of their own."""
        key = message.key
        if key is not None:
            devices = self.devices(intake)
            known = devices.get(key)
            facts, interval = None, None
            if message.path == "basicinfo":
                facts, interval = about.facts(message), about.keepalive(message)
            elif push.peer and (known is None or "address" not in known.facts):
                facts = {"address": push.peer}  # until it says itself where it is
            if interval is None and (known is None or known.interval is None):
                interval = self.settings.keepalive
            asked = self._asks(message, known)
            if asked is not None:
                facts = {**(facts or {}), about.ASKED: asked or None}
            groups = None
            if known is None or not known.online:  # it comes, and an event says so
                message.facts = {**(known.facts if known is not None else {}), **(facts or {})}
                groups = parse.groups(message, self._camera(message))
            if interval is not None or facts is not None or not devices.alone(key):
                async with devices.heard(key, interval=interval, facts=facts, groups=groups) as sign:
                    if sign.events or sign.state:
                        await intake.put(*sign.events, state=sign.state, stranger=devices.stranger(key))
            if asked:
                intake.count("introduction_asked")
                raise Refused(503, "introduce yourself with basicinfo")
        if message.path == "basicinfo":
            return _DONE
        data: dict[str, Any] = {"svrTime": self.clock.now_ms()}
        if self.settings.echo_ids:
            data |= {name: message.whole[name] for name in ("parkId", "deviceId") if name in message.whole}
        if key is not None:  # the answer is the sending: nothing may come between this and its return
            data |= self._commands.carrier.take(key)
        return json_response({"code": codes.SUCCESS, "message": "success", "data": data})

    def _asks(self, message: Message, known: Device | None) -> int | None:
        """Which refusal in a row a message of a sign of life gets, for its camera never said who it is; 0: none.

        None: nothing changes. A camera whose keep-alive finds no response three times begins anew with its basic data
        (Interaction Model, steps 1 to 3). One that does not is left in peace until it was away: its clock is set by
        the answers.
        """
        before = 0 if known is None else int(known.facts.get(about.ASKED, 0))
        if message.path == "basicinfo":
            return 0 if before else None
        if not self.settings.ask_basicinfo or (known is None and self._table is not None and self._table.full):
            return None
        if known is not None and not known.facts.keys() <= about.UNSAID:
            return None
        asked = 1 if known is None or not known.online else before + 1
        return asked if asked <= about.REFUSALS else None

    async def _store(self, message: Message, intake: Intake) -> Response:
        """Everything else is an event or two, and a sign of life too."""
        camera = self._camera(message)
        identity = parse.record_id(message) if message.path in _RECORDS else parse.content_id(message)
        taken = message.pictures
        if taken is None:
            taken = pictures.take(message.whole, message.inner, identity)
        key, devices = message.key, self.devices(intake)
        stranger = devices.stranger(key)
        media = await _stored(taken, intake.media, stranger=stranger) if taken else []
        if key is None:
            await intake.put(*parse.events(message, camera, media, identity), stranger=stranger)
        else:
            known = devices.get(key)
            if known is not None:
                message.facts = known.facts
            interval = self.settings.keepalive if known is None or known.interval is None else None
            groups = None if known is not None and known.online else parse.groups(message, camera)
            events = parse.events(message, camera, media, identity)
            async with devices.heard(key, interval=interval, groups=groups) as sign:
                await intake.put(*sign.events, *events, state=sign.state, stranger=stranger)
            if not stranger:
                self._commands.settle(message)
        return _CAPTURED if message.path == "capture" else _DONE

    # --- what is known of a camera ----------------------------------------------------------------------------------

    def _camera(self, message: Message) -> Camera:
        cameras = self.settings.cameras
        if not cameras or message.device is None:
            return self._plain
        return self._configured(message.key or "", message.device)

    def _configured(self, key: str, device: str) -> Camera:
        name = key if key in self.settings.cameras else device  # not by the key: whoever sends makes up parks
        found = self._cameras.get(name)
        if found is None:
            row = self.settings.cameras.get(name)
            if row is None:
                return self._plain
            found = Camera(row.time_zone or self._zone, row.name, row.lane, row.direction, row.area)
            self._cameras[name] = found
        return found

    def _groups_of(self, device: Device) -> Groups:
        park, _, number = device.key.partition("/")
        message = Message("", {}, {}, None if park == "-" else park, number, None, b"", facts=device.facts)
        return parse.groups(message, self._configured(device.key, number) if self.settings.cameras else self._plain)


def _message(push: Push) -> Message:
    """The message of a request, also in a thread. Raises MessageError."""
    path = push.path[len(parse.PREFIX) :].strip("/").lower()
    if push.body or push.method != "GET":
        document = parse.loads(push.body)
        message = parse.read(path, strip(document), push.body)
        return message if len(push.body) <= IN_THREAD else parse.let_go(message)
    return parse.read(path, strip(_of_query(push.query)), repr(sorted(push.query.items())).encode())


def _around(push: Push) -> Message | None:
    """The same message of a large capture, read around its pictures' base64; None where it is not that simple."""
    path = push.path[len(parse.PREFIX) :].strip("/").lower()
    if path != "capture" or (found := pictures.cut(push.body)) is None:
        return None
    rest, contents = found
    try:
        document = parse.strict(rest)
        message = parse.read(path, strip(document), b"")
    except ValueError:
        return None
    if text(message.inner.get("recordId")) is None:
        return None  # the whole body makes the identity
    message.pictures = pictures.take(message.whole, message.inner, parse.record_id(message))
    for picture in message.pictures:
        picture.content = contents.pop(picture.data, None)
    return None if contents else message


_RECORDS: Final = frozenset(("capture", "notifyresult/manualcapture/common"))


async def _stored(taken: Sequence[Picture], media: Media, *, stranger: bool) -> list[Medium]:
    """The entries of the pictures, those with data on disk. Raises Unavailable where the disk refuses."""
    if not any(picture.data for picture in taken):
        return [parse.media_entry(picture, {"state": "remote"}) for picture in taken]
    try:
        return await media.threads.run(lambda: [_store(picture, media, stranger=stranger) for picture in taken])
    except OSError as error:
        raise Unavailable(f"the media store refuses: {error.strerror}") from error


def _store(picture: Picture, media: Media, *, stranger: bool) -> Medium:
    """In one of the media store's threads: decoding, hashing, writing, fsync."""
    if not picture.data:
        return parse.media_entry(picture, {"state": "remote"})
    content = pictures.decoded(picture)
    state, mime = "stored", None
    if content is None:  # what is no base64 is kept as the text that it is
        state, mime, content = "invalid", "text/plain", picture.data.encode("utf-8", "replace")
    try:
        stored = media.keep(content, stranger=stranger)
    except TooLarge:
        return parse.media_entry(picture, {"bytes": len(content), "state": "too large"})
    facts: Medium = {
        "mime": mime or mime_of(content) or "application/octet-stream",
        "bytes": stored.bytes,
        "sha256": stored.sha256,
        "path": stored.path,
        "state": state,
    }
    return parse.media_entry(picture, facts)


def _ruin(push: Push) -> tuple[bytes, str]:
    """What is kept of a body that cannot be read, and the digest of all of it; also in a thread."""
    return strip_ruin(_begin(push.body)), parse.digest_of(push.body)


def _begin(body: bytes) -> bytes:
    """What is kept of a body that cannot be read; no letter of UTF-8 is cut."""
    if len(body) <= _RUIN:
        return body
    kept = body[:_RUIN]
    try:
        kept.decode()
    except UnicodeDecodeError as error:
        if error.start > _RUIN - 4:
            return kept[: error.start]
    return kept


def _of_query(query: Mapping[str, str]) -> dict[str, Any]:
    """The message of a GET: the envelope's fields, and params of what else stands in the query."""
    envelope = {name: value for name, value in query.items() if name in ("version", "parkId", "deviceId", "requestId")}
    return {**envelope, "params": {name: value for name, value in query.items() if name not in envelope}}
