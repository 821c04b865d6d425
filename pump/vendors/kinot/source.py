"""Kinot's LoRa parking sensors and locks: callbacks are pushed to us, lists are read to find what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import structlog

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import Trial
from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import MessageError, Misconfigured, Refusal, Unavailable, bare
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.ingest.push.admission import Admission
from pump.ingest.push.request import Push, Refused, Response, json_response
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.tap import Tap
from pump.source import PushSource
from pump.spool import Gap
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.kinot import callbacks, codes, commands, parse
from pump.vendors.kinot.client import KINDS, CallbackType, Client, List
from pump.vendors.kinot.numbers import without_codes
from pump.vendors.kinot.registration import LOOK_EVERY, CallbackRegistration
from pump.vendors.kinot.settings import KinotSettings
from pump.vendors.kinot.sign import SIGN, callback_signed
from pump.vendors.kinot.states import States
from pump.vendors.kinot.trial import try_out
from pump.vendors.kinot.values import clean

log = structlog.get_logger()
P = ParamSpec("P")
T = TypeVar("T")

_SILENCE: Final = 60.0
"""Seconds of silence, above a snapshot's interval and its time-outs, after which the source counts as stalled."""
_READING: Final = "reading"
"""The loop that owes signs of life: callbacks come also where it is stuck."""
_LARGEST: Final = 64 << 10
"""Bytes of a callback; they have a few hundred."""
_TOLD: Final = 60.0
"""Seconds from one log line about refused callbacks to the next."""
GATEWAYS_ALONE: Final = 300.0
"""Seconds between two questions after the gateways where `snapshot` is off."""
_FILLED: Final = "by the states of all devices; what came and went between is known only where Kinot sends it again"
_PATHS: Final = ("status", "command")
_CODES: Final = {404: 10016, 405: 10016, 500: 10000, 503: 10000}
"""HTTP status to the vendor's code (docs/field.md); all others are 10012, body or query."""
_OK: Final = Response(200, b'{"code":0,"message":"OK"}')
_Refuse = Callable[..., Awaitable[Refused]]
_PERSONAL: Final = "sn btmac guid"
_KEPT: Final = "sw hw firmware code count"

FIELDS: Final = RecordedFields(personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes,))
"""Fields that a recording replaces or keeps where the general rule cannot know (pump/ingest/recording/fields.py)."""


class Kinot(PushSource[KinotSettings]):
    """Takes callbacks, and every `snapshot` reads what the API knows, for callbacks that never came.

    Its state in the spool: `device/<sn>` and `device/gateway/<sn>`, how each was when it was last heard of.
    """

    Settings = KinotSettings
    recorded = FIELDS

    def __init__(self, name: str, settings: KinotSettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._zone = settings.time_zone or ZoneInfo("UTC")
        self._states: States | None = None
        self._commands = commands.Commands(clock)
        self._told, self._ran = -_TOLD, False
        self._heard = 0
        """Callbacks that were taken."""
        self._missed = 0
        """Changes that a list showed and no callback had said."""

    # --- callbacks ----------------------------------------------------------------------------------------------

    @property
    def claims(self) -> Sequence[str]:
        """/kinot/<source name>."""
        return (f"/kinot/{self.name}",)

    async def handle(self, push: Push, intake: Intake, admission: Admission) -> Response:
        """Take a callback; code 0 only after the commit. Raises Refused, and Unavailable as `put` does."""
        if push.path.lower().strip("/").removeprefix(f"kinot/{self.name}/") not in _PATHS:
            intake.count("unknown path")
            raise Refused(404, "callbacks go to /status and /command")
        if push.method != "POST":
            raise Refused(405, "callbacks are posted")
        refuse = partial(self._bad, push, intake, admission)
        fields = await self._fields(push, refuse)
        await self._check(fields, intake, refuse)
        signed = fields.get(SIGN) not in (None, "")
        admission.admit((self.name, str(fields.get("sn"))))
        try:
            await self._accept(fields, intake, signed=signed)
        except MessageError as poison:
            raise await refuse(clean(fields), str(poison), stranger=not signed) from None
        self._heard += 1
        intake.activity()
        return _OK

    def failure(self, push: Push, refused: Refused) -> Response:
        """As the API's own errors."""
        return json_response({"code": _CODES.get(refused.status, 10012), "message": refused.reason}, refused.status)

    async def _fields(self, push: Push, refuse: _Refuse) -> dict[str, Any]:
        if len(push.body) > _LARGEST:
            raise Refused(413, f"a callback may have {_LARGEST} bytes")
        text = _text(push.body)
        try:
            fields = callbacks.decode(text)
        except ValueError as error:
            raise await refuse(without_codes(text), str(error)) from None
        if not isinstance(fields, dict):
            raise await refuse(clean(fields), "the body is not an object")
        return fields

    async def _check(self, fields: Mapping[str, Any], intake: Intake, refuse: _Refuse) -> None:
        """Raises Refused for a callback that is not Kinot's."""
        if fields.get(SIGN) in (None, ""):
            if self.settings.accept_unsigned:
                intake.count("unsigned")
                return
            what, reason = "unsigned refused", "the sign is missing"
        elif callback_signed(fields, self.settings.app_secret.get_secret_value()):
            try:
                callbacks.check(fields)
            except MessageError as wrong:
                intake.count("wrong form")
                self._tell("A signed callback is refused, for it is not of the document's form", str(wrong))
                raise await refuse(clean(fields), str(wrong)) from None
            return
        else:
            what, reason = "wrong sign", "the sign does not match"
        intake.count(what)
        self._tell("A callback is refused; if it is Kinot's, app_secret is not the one it signs with", reason)
        raise await refuse(clean(fields), reason, 403)

    def _tell(self, sentence: str, reason: str) -> None:
        """Log a refusal, where none was logged a moment ago."""
        now = self.clock.monotonic()
        if now - self._told >= _TOLD:
            self._told = now
            log.warning(sentence, source=self.name, reason=reason)

    async def _bad(
        self, push: Push, intake: Intake, admission: Admission, raw: Any, error: str, status: int = 400,
        *, stranger: bool = True,
    ) -> Refused:  # fmt: skip
        """The refusal to raise, after the message was kept; `stranger` where anybody may have sent it.

        Raises Refused (429) for who sends too many of them.
        """
        admission.admit((self.name, "refused", push.peer))
        await intake.unparsed(raw, error, stranger=stranger)
        return Refused(status, error)

    async def _accept(self, fields: Mapping[str, Any], intake: Intake, *, signed: bool) -> None:
        now = self.clock.now()
        states, digest = self._of(intake), callbacks.digest(fields)
        if parse.is_command(fields):
            await states.take_result(self._result(fields, now, intake), digest, signed=signed)
            self._commands.heard(fields, signed=signed)
        else:
            await states.take(_guarded(parse.status, fields, self._zone, now), digest=digest, signed=signed)

    def _result(self, fields: Mapping[str, Any], now: datetime, intake: Intake) -> Event:
        known = self._of(intake).of(str(fields.get("sn", "")).strip())
        return _guarded(parse.command, fields, self._zone, now, known)

    def _of(self, intake: Intake) -> States:
        # made at the first use and kept: callbacks come whether or not `run` is just restarting
        if self._states is None:
            named = self.settings.named_devices()
            self._states = States(intake, self.clock, every=self.settings.emit == "all", named=named)
        return self._states

    # --- commands -----------------------------------------------------------------------------------------------

    def targets(self) -> Iterable[Target]:
        """The locks and sensors that Kinot signs for or lists, or the configuration names, once they were seen."""
        named = self.settings.named()
        for kind, sn in () if self._states is None else self._states.known():
            verbs = commands.verbs(kind, self.settings.lock_values)
            if (subject := commands.subject(kind, sn, verbs)) is not None:
                row = named.get(sn)
                name = None if row is None else row.name or row.space
                yield Target(subject, verbs, None if name is None else str(name))

    def verbs(self, target: str) -> Collection[str]:
        """By what was seen of the device; one that `bays` or `names` has is believed to be what the target says."""
        kind, sn = commands.parts(target)
        seen = self._kind(sn)
        if not sn or kind != (seen or kind) or (seen is None and sn not in self.settings.named()):
            return ()
        return commands.verbs(kind, self.settings.lock_values)

    async def command(self, command: Command) -> CommandResult:
        """As Source.command: done where the platform says "succeeded", by its callback or asked for it."""
        kind, sn = commands.parts(command.target)
        value = commands.verbs(kind, self.settings.lock_values).get(command.verb)
        if value is None:
            raise Refusal(f"a {kind} does not take this")
        return await self._commands.send(command, kind, sn, value, known=self._kind(sn) == kind)

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Source.call, signed for the API gateway."""
        return await self._commands.call(command, call)

    def _kind(self, sn: str) -> str | None:
        """What a device was seen to be; None for one that nobody has seen but strangers."""
        return None if self._states is None else self._states.kind(sn)

    # --- what is read -------------------------------------------------------------------------------------------

    async def run(self, intake: Intake) -> None:
        """As Source.run: register the callbacks, then read all devices every `snapshot`, the gateways in any case.

        The registration is looked at again every ten minutes, and where changes come by snapshots alone. Raises
        Misconfigured for a key that is refused; callbacks are taken all the same.
        """
        settings = self.settings
        self._of(intake)
        if settings.snapshot:
            intake.gaps.fills()  # by the differences that the next snapshot finds
        await self._tell_absence(intake)
        # nothing pushes a gateway's state: who names one wants it asked after
        interval = settings.snapshot or (GATEWAYS_ALONE if settings.gateways else 0.0)
        registration = self._registration()
        if registration is None and not interval:
            intake.component.expects = None
            intake.up()
            async with self._commands.using(self.client(intake.tap), intake.count):
                await asyncio.get_running_loop().create_future()  # all there is to do is `handle`'s, and commands
        intake.component.expect((interval or LOOK_EVERY) + 4 * settings.timeout + _SILENCE, _READING)
        backoff = Backoff()
        due = self.clock.monotonic()
        heard: int | None = None
        async with self._commands.using(self.client(intake.tap), intake.count) as client:
            while True:
                failures: list[CallFailed] = []
                if registration is not None and not registration.wait:
                    await self._try(registration.look(client, intake), failures)
                if interval and due <= self.clock.monotonic():
                    self._missed = 0
                    await self._snapshot(client, intake, failures)
                    if registration is not None and self._missed and heard == self._heard:
                        registration.suspect()
                    heard = self._heard
                if not failures:
                    backoff.reset()
                    intake.activity(_READING)
                    intake.up()
                    now = self.clock.monotonic()
                    if due <= now:
                        due = now + interval
                    waits = [registration.wait] if registration is not None else []
                    await self.clock.sleep(min([due - now, *waits] if interval else waits))
                    continue
                intake.count("retry")
                intake.down(f"{failures[0]}; trying again")
                drawn = backoff.next()
                await self.clock.sleep(max((each.retry_after or 0.0 for each in failures), default=0.0) or drawn)

    async def _tell_absence(self, intake: Intake) -> None:
        """A gap for the time in which the pump did not run, where it was longer than its silences can be."""
        if self._ran:
            return
        last, now = intake.last_activity, self.clock.now()
        away = 0.0 if last is None else (now - last).total_seconds()
        # A clock that was set back meanwhile does not say how long it was.
        if last is not None and not -_SILENCE < away <= self.settings.snapshot + _SILENCE:
            reason = "the pump did not run; what came and went meanwhile is known only where Kinot sends it again"
            await intake.gap(last, now, reason)
        self._ran = True

    async def try_out(self, trial: Trial) -> None:
        """As Source.try_out."""
        await try_out(self.settings, self.client(), self._registration(), self.clock, trial)

    def client(self, tap: Tap | None = None) -> Client:
        """The account's REST client, not entered yet; `tap` gets its answers."""
        settings = self.settings
        return Client(
            server=settings.server, app_key=settings.app_key.get_secret_value(),
            app_secret=settings.app_secret.get_secret_value(), clock=self.clock, timeout=settings.timeout, tap=tap,
        )  # fmt: skip

    async def test_callback(self, sn: str | None, callback: CallbackType) -> dict[str, Any]:
        """Have Kinot send a test notification for a device, any where `sn` is None; its own words on what became of it.

        With them comes "expected", the address that is ours, where `callback_base` says it.
        Raises Misconfigured and Unavailable with what is wrong.
        """
        try:
            async with self.client() as client:
                if sn is None:
                    sn = await _any_device(client)
                answer = {"sn": sn, **clean(await client.fire_test(sn, callback))}
        except CallFailed as failure:
            if failure.answer.action is Action.RETRY:
                raise Unavailable(str(failure)) from None
            raise Misconfigured(str(failure)) from None
        path = "status" if callback == "status_changed" else "command"
        return answer if self.settings.callback_base is None else {**answer, "expected": f"{self._base}/{path}"}

    async def _try(self, step: Awaitable[None], failures: list[CallFailed]) -> bool:
        """Whether the step was done; what a person must mend is raised as Misconfigured."""
        try:
            await step
        except CallFailed as failure:
            if failure.answer.action is Action.MISCONFIGURED:
                raise Misconfigured(str(failure)) from None
            failures.append(bare(failure))
            return False
        return True

    def _registration(self) -> CallbackRegistration | None:
        """None where somebody else sets the addresses."""
        wanted = self.settings.register_callbacks
        return CallbackRegistration(self._base, self.clock, takes=wanted is True) if wanted else None

    @property
    def _base(self) -> str:
        return f"{self.settings.callback_base}/kinot/{self.name}"

    async def _snapshot(self, client: Client, intake: Intake, failures: list[CallFailed]) -> None:
        gaps = await intake.gaps.open() if self.settings.snapshot and intake.gaps.waiting else []
        gap = gaps[0] if gaps else None
        steps: list[Callable[[], Awaitable[None]]] = [
            partial(self._read_list, client, which, intake, gap) for which in (KINDS if self.settings.snapshot else ())
        ]
        steps += [partial(self._read_gateway, client, str(sn), intake) for sn in self.settings.gateways]
        for step in steps:
            if failures and not failures[-1].answered:
                return  # whoever does not answer this will not answer that, and each would take its time-out
            await self._try(step(), failures)
        if not failures:
            for each in gaps:
                await intake.gaps.fill(each, (), become="filled", notes=_FILLED)

    async def _read_list(self, client: Client, which: List, intake: Intake, gap: Gap | None) -> None:
        async with aclosing(client.devices(which)) as pages:
            asked = self.clock.monotonic()
            async for page in pages:
                intake.activity(_READING)
                now = self.clock.now()
                statuses: list[parse.Status] = []
                for fields in page:
                    try:
                        statuses.append(_guarded(parse.status, fields, self._zone, now, KINDS[which]))
                    except MessageError as poison:
                        await intake.unparsed(clean(fields), str(poison))
                # together, so that they share their commits
                outcomes = await asyncio.gather(
                    *(self._of(intake).take(status, asked=asked, gap=gap) for status in statuses)
                )
                self._missed += outcomes.count("changed")
                asked = self.clock.monotonic()

    async def _read_gateway(self, client: Client, sn: str, intake: Intake) -> None:
        asked = self.clock.monotonic()
        fields = await client.device("dtu_devices", sn)
        if fields is None:
            intake.count("unknown gateway")
            log.warning("Kinot does not know a gateway of the configuration", source=self.name, gateway=sn)
            return
        intake.activity(_READING)
        try:
            status = _guarded(parse.gateway, {"sn": sn, **fields}, self._zone, self.clock.now())
        except MessageError as poison:
            await intake.unparsed(clean(fields), str(poison))
            return
        await self._of(intake).take(status, asked=asked)


async def _any_device(client: Client) -> str:
    for which in KINDS:
        async with aclosing(client.devices(which)) as pages:
            async for page in pages:
                return str(page[0].get("sn"))
    raise Misconfigured("the account has no device that a test could be for")


def _guarded(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `read` makes of it; a mistake of the parser's is the message's fault to everybody else."""
    try:
        return read(*args, **kwargs)
    except MessageError:
        raise
    except Exception as bug:  # noqa: BLE001  # whatever a message does to the parser, it is kept and the next one goes on
        raise MessageError(f"{type(bug).__name__}: {bug}") from None


def _text(body: bytes) -> str:
    """UTF-8, with or without a mark at its beginning, else what Chinese machines write."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")
