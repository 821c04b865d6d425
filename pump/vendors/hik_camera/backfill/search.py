"""The calls of a search for access events: POST /ISAPI/AccessControl/AcsEvent, and the device's time.

One at a time, each with a fresh login; after a rejected one nothing is asked for 10 minutes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import LoginLockout
from pump.vendors.common.fields import child
from pump.vendors.common.hik_status import refused, status_fields
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.document import Tree, read_document
from pump.vendors.hik_camera.fields import moment, text

PATH: Final = "/ISAPI/AccessControl/AcsEvent?format=json"
TIME: Final = "/ISAPI/System/time"
PAGE: Final = 30
"""Rows of a page: devices name it as their most in /ISAPI/AccessControl/AcsEvent/capabilities."""
SECONDS: Final = 15.0
"""The longest that an answer may take."""

_ABSENT: Final = frozenset((403, 404, 405, 501))
_ABSENT_WORDS: Final = frozenset(("notsupport", "methodnotallowed"))


class NotOffered(Exception):
    """The device has no such search, or not for this user."""


class SearchRefused(Exception):
    """The device has the search and does not take the question; amid the pages it may have forgotten the search."""


class Later(Exception):
    """No answer now; `wait`: the seconds for which not to ask again, 0 where nobody says."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(slots=True, frozen=True)
class Page:
    """An answer: its rows, and True where more follow."""

    rows: list[Any]
    more: bool


class AcsSearch:
    """One device's."""

    def __init__(self, link: DigestClient, lockout: LoginLockout, store: StreamIntake, clock: Clock) -> None:
        self._link = link
        self._lockout = lockout
        self._store = store
        self._own = LoginLockout(clock, ())
        """After a 401 beside a stream that stands: it may be but a right that is missing."""
        self._one = asyncio.Lock()

    def hurry(self) -> None:
        """A password that was rejected may be tried again now."""
        self._own.hurry()

    async def page(self, search: str, position: int, begin: datetime, end: datetime) -> Page:
        """Up to 30 rows behind `position`; `search` is the same for all pages of one search.

        The times go out as they are given, in the device's own offset if you please: some devices leave it out of
        account. Raises NotOffered, SearchRefused, Later.
        """
        condition = {
            "searchID": search, "searchResultPosition": position, "maxResults": PAGE, "major": 0, "minor": 0,
            "startTime": begin.isoformat(timespec="seconds"), "endTime": end.isoformat(timespec="seconds"),
        }  # fmt: skip
        answer = await self._ask("POST", PATH, orjson.dumps({"AcsEventCond": condition}))
        tree = _judged(answer)
        listed = tree.get("InfoList")
        rows = listed if isinstance(listed, list) else [] if listed is None else [listed]
        return Page(rows, (text(tree, "responseStatusStrg") or "").upper() == "MORE")

    async def time(self, zone: tzinfo) -> datetime | None:
        """The device's time, in its own offset; without one it is in `zone`. None where it does not say. Raises
        Later."""
        tree = device.read_answer(await self._ask("GET", TIME, None))
        tree = child(tree, "Time") or tree
        return None if tree is None else moment(text(tree, "localTime"), zone)

    async def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        async with self._one:
            if (left := max(self._lockout.left, self._own.left)) > 0:
                raise Later("the device rejected the login", left)
            try:
                return await self._link.request(method, path, body=body, timeout=SECONDS)
            except ConnectionLost as lost:
                raise Later(lost.reason) from None
            except UnexpectedStatus as error:
                raise await self._rejected(error.answer) from None

    async def _rejected(self, answer: Answer) -> Later:
        if answer.stale:
            return Later("the device's challenge had expired before it was answered")
        advice = device.advise(answer)
        if not self._store.connected:
            await self._lockout.reject(advice, self._store)
            return Later(advice.reason, self._lockout.left)
        self._store.intake.count("rejected")
        self._own.note(advice.reason, advice.wait)
        return Later(
            f"{advice.reason}; its events are still taken: give the user the right to search for them", self._own.left
        )


def _judged(answer: Answer) -> Tree:
    try:
        tree = read_document(answer.body)
    except ValueError:
        tree = {}
    fields = status_fields(tree)
    sub = str(fields.get("subStatusCode") or "")
    said = f"HTTP {answer.status}" + (f", {sub[:80]}" if sub else "")
    if answer.status in _ABSENT or sub.lower() in _ABSENT_WORDS:
        raise NotOffered(f"the device offers no search for access events, or not to this user ({said})")
    if answer.status >= 500:
        raise Later(f"the device cannot search now ({said})")
    if answer.status != 200 or refused(fields):
        raise SearchRefused(f"the device does not take the search ({said})")
    found = tree if tree.get("") == "AcsEvent" else child(tree, "AcsEvent")
    if found is None:
        raise NotOffered("the device's answer to a search for access events is none")
    return found
