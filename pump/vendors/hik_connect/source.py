"""Hik-Connect for Teams: the account's message queues (document, 4.2 and 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Refusal, Unavailable, anew
from pump.core.failure import leaves
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.hosts import HostRule
from pump.ingest.gaps import SourceGaps
from pump.ingest.intake import Intake
from pump.ingest.recording.fields import RecordedFields
from pump.source import Source
from pump.vendors.hik_connect import codes, words
from pump.vendors.hik_connect.backfill.filler import Filler
from pump.vendors.hik_connect.backfill.inventory import Inventory
from pump.vendors.hik_connect.backfill.matching import Matcher
from pump.vendors.hik_connect.backfill.reader import LogReader
from pump.vendors.hik_connect.client import AppKey, Client
from pump.vendors.hik_connect.clips.asking import PREFIX as CLIPS
from pump.vendors.hik_connect.clips.asking import Clips
from pump.vendors.hik_connect.commands.sender import THINGS, Commands
from pump.vendors.hik_connect.commands.trial import try_out
from pump.vendors.hik_connect.domain import parse_server
from pump.vendors.hik_connect.limiter import WINDOW, Limiter
from pump.vendors.hik_connect.marks import PREFIX as MARKS
from pump.vendors.hik_connect.queue import Beside, MultiPartHealth, Puller
from pump.vendors.hik_connect.settings import HikConnectSettings
from pump.vendors.hik_connect.uploads import PREFIX as UPLOADS

log = structlog.get_logger()

PICTURES: Final = "ezvizlife.com"
"""The domain of the vendor's hosts of pictures."""
STORAGE: Final = "*.amazonaws.com"
"""The hosts of clips that the API gives links to (document, 5.5.1); messages may not name them."""
_SILENCE: Final = 60.0
"""Seconds of silence, above two calls that time out, after which the source counts as stalled."""

_PERSONAL: Final = "systemid elementid"
_KEPT: Final = "msgtype serialno speed speedlimit ew ns suffixname altitude height"
FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes, words)
)
"""What a recording replaces or keeps where its general rule cannot know."""


class HikConnect(Source[HikConnectSettings]):
    """Pulls the configured queues of one account, each in a task of its own, through one limiter.

    Its state in the spool: `queue/<name>`, what is known of the subscription; `uploads/<digest>/<queue>/…` and
    `marks/<digest>/<queue>/…`, what came before on the queue; `clip/<digest>/<event id>`, a clip that is wanted;
    `thing/<digest>/<subject>`, what can be commanded, as events have named it; `token/<digest>`, the account's token
    with its server, kept so that a restart needs no login. A token is a secret:
    it lets its holder act for the account for 7 days, and is why the spool's folder is for the daemon's user alone. The
    app key appears as a digest.
    """

    Settings = HikConnectSettings
    recorded = FIELDS

    def __init__(self, name: str, settings: HikConnectSettings, clock: Clock, *, paced: bool = True) -> None:
        """`paced=False` turns the account's limiter off: for benches against a simulator, never for a real account."""
        super().__init__(name, settings, clock)
        # It lives as long as the source, not as long as a run: a restart is no reason to exceed the rate.
        self._limiter = Limiter(clock) if paced else None
        self._commands = Commands(settings.named())
        self._ran = False
        self._filler: Filler | None = None
        self._gaps: SourceGaps | None = None
        account = f"{settings.app_key.get_secret_value()}\0{settings.server}"
        self._account = blake2b(account.encode(), digest_size=16).hexdigest()

    def pictures(self) -> PictureAccess:
        """The account's server and its domain, and the vendor's host of pictures (docs/field.md), by https."""
        settings = self.settings
        domains = [domain for domain in (parse_server(settings.server).domain, PICTURES) if domain]
        return PictureAccess(
            own=settings.server,
            hosts=tuple(HostRule(f"{below}{domain}", https=True) for domain in domains for below in ("", "*.")),
            given=(HostRule(STORAGE, https=True),),
            codes={serial: code.get_secret_value() for serial, code in settings.verification_codes.items()},
        )

    async def run(self, intake: Intake) -> None:
        """As Source.run. Raises Misconfigured for what concerns the whole account; a queue's own troubles stay its own.

        Cancelled, it leaves the subscriptions standing: the vendor keeps what arrives meanwhile, for 3 days.
        """
        settings, token = self.settings, f"token/{self._account}"
        stored = intake.state()
        if self._limiter is not None and not self._ran and token in stored:
            # The last process may have called until its last moment, and the vendor counts on.
            self._limiter.hold(WINDOW)
        self._ran = True
        intake.component.expect(max(2 * settings.timeout, settings.poll_interval) + _SILENCE, *settings.queues)
        wanted = [token, *(f"queue/{queue}" for queue in settings.queues)]
        wanted += [f"{prefix}{self._account}/{queue}/" for prefix in (UPLOADS, MARKS) for queue in settings.queues]
        wanted += [f"{prefix}{self._account}/" for prefix in (CLIPS, THINGS)]
        ours = ("token/", "queue/", UPLOADS, MARKS, CLIPS, THINGS)
        self._commands.load(stored, f"{THINGS}{self._account}/")
        if gone := {key: None for key in stored if key.startswith(ours) and not key.startswith(tuple(wanted))}:
            await intake.put(state=gone)

        async def keep(state: dict[str, Any]) -> None:
            try:
                await intake.put(state={token: state})
            except Unavailable:
                log.warning("The spool refuses to keep the token; a restart will log in again", source=self.name)

        client = Client(
            AppKey(
                settings.server,
                settings.app_key.get_secret_value(),
                settings.secret_key.get_secret_value(),
                source=self.name,
            ),
            clock=self.clock,
            timeout=settings.timeout,
            limiter=self._limiter,
            token=stored.get(token),
            keep=keep,
            count=intake.count,
            tap=intake.tap,
        )
        intake.gaps.fills()
        reader = LogReader(client, self.clock, settings.time_zone or ZoneInfo("UTC"))
        matcher = Matcher(intake, ends="alarm" in settings.queues)
        inventory = Inventory(intake, reader, self.clock, settings.inventory_interval)
        clips = Clips(settings, account=self._account, intake=intake, client=client, clock=self.clock)
        filler = self._filler = Filler(
            settings, intake=intake, reader=reader, matcher=matcher, inventory=inventory, clips=clips, clock=self.clock
        )
        self._gaps = intake.gaps
        beside = Beside(MultiPartHealth(intake), matcher, inventory, filler.check, self._commands, clips)
        try:
            async with client, self._commands.using(client), asyncio.TaskGroup() as group:
                group.create_task(filler.run(), name=f"source {self.name} backfill")
                if clips.needed:
                    group.create_task(clips.run(), name=f"source {self.name} clips")
                for queue in settings.queues:
                    puller = Puller(
                        queue, settings, account=self._account, client=client, intake=intake, clock=self.clock,
                        beside=beside,
                    )  # fmt: skip
                    group.create_task(puller.run(), name=f"source {self.name} queue {queue}")
        except ExceptionGroup as failures:
            raise _one_for_all(failures) from None

    async def try_out(self, trial: Trial) -> None:
        """As Source.try_out."""
        await try_out(self.settings, self.clock, self._limiter, trial)

    def targets(self) -> Iterable[Target]:
        """The doors, outputs, cameras and calling stations that events have named since the start."""
        return self._commands.targets()

    def verbs(self, target: str) -> Collection[str]:
        """By what was seen; a door, output or camera that `names` has is one before."""
        return self._commands.verbs(target)

    async def command(self, command: Command) -> CommandResult:
        """As Source.command; done where the vendor answers 0 and names no failure."""
        return await self._commands.send(command)

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Source.call, with the account's token and in its limiter, before the queues."""
        return await self._commands.call(command, call)

    async def backfill(
        self, since: datetime, until: datetime, report: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> dict[str, Any]:
        """See `pump.ops.backfill.Backfillable`."""
        if self._gaps is None:
            raise Refusal(f"the source {self.name} has not run yet: pump status")
        return await self._gaps.by_hand(since, until, self._looked, report)

    def _looked(self, gap: int) -> dict[str, Any]:
        return {} if self._filler is None else self._filler.looked(gap)


def _one_for_all(failures: ExceptionGroup[Exception]) -> BaseException:
    """The one failure where all queues met the same wrong key; otherwise all of them."""
    wrong = leaves(failures)
    if all(isinstance(each, Misconfigured) for each in wrong):
        return anew(wrong[0])
    return failures
