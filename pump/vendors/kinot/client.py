"""Kinot's REST API: signed calls, lists page by page (document, "Parking lock" to "Test notification").

Every way a call can fail becomes one `CallFailed`, with the row of `answers` that says what to do.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import structlog
from yarl import URL

from pump.commands.calls import LARGEST_ANSWER, RawCall
from pump.core.clock import Clock
from pump.ingest.recording.tap import Tap
from pump.vendors.common.api import Action, CallFailed, Limits, Reply, VendorApi
from pump.vendors.kinot import answers
from pump.vendors.kinot.numbers import Number, decode, without_codes
from pump.vendors.kinot.pace import INTERVAL, Lane, Pace
from pump.vendors.kinot.sign import resource, signed_headers

log = structlog.get_logger()

ROOT: Final = "/open/lora/v1"
MAX_BODY: Final = 8 << 20
"""Bytes of an answer that are read; a page of 100 locks is 30 KiB."""
PAGE: Final = 100
"""Devices a page; 10 to 100 are allowed."""
MOST_PAGES: Final = 10_000

List = Literal["lockers", "sensors"]
KINDS: Final[dict[List, str]] = {"lockers": "lock", "sensors": "sensor"}
"""The two lists, with the kind of their devices."""
CallbackType = Literal["status_changed", "command_resp"]
Spelling = Literal["command_resp_callback_url", "commandResp_callback_url"]
SPELLINGS: Final[tuple[Spelling, ...]] = ("command_resp_callback_url", "commandResp_callback_url")
"""The document's sample and its table disagree on one key."""


class Client:
    """One app key's calls, paced; an async context manager that holds the connections."""

    def __init__(
        self, *, server: str, app_key: str, app_secret: str, clock: Clock, timeout: float, interval: float = INTERVAL,
        tap: Tap | None = None,
    ) -> None:  # fmt: skip
        """`server` is scheme and host, `timeout` one call's in seconds; `tap` gets every answer."""
        self._server = server.rstrip("/")
        self._key = app_key
        self._secret = app_secret
        self._clock = clock
        self._api = VendorApi(Limits(timeout, MAX_BODY, answers.TOO_LARGE, answers.NOT_JSON), tap)
        self._pace = Pace(clock, interval)

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    @property
    def date(self) -> str:
        """The server's clock at its newest answer, as its Date header has it; "" for none."""
        return self._api.date

    # --- what there is to ask -----------------------------------------------------------------------------------

    async def devices(self, which: List) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The devices of a list, page by page; `offset` counts pages. Raises CallFailed.

        Each device once, also where the list moves while it is read.
        """
        seen: set[str] = set()
        for page in range(MOST_PAGES):
            try:
                answer = await self.get(which, {"offset": str(page), "limit": str(PAGE)})
            except CallFailed as failure:
                if failure.answer.action is Action.SKIP:
                    return  # an account without locks, or without sensors
                raise
            objects = objects_of(answer)
            fresh = [each for each in objects if str(each.get("sn")) not in seen]
            seen.update(str(each.get("sn")) for each in fresh)
            if not fresh:
                return
            yield fresh
            # `count` is the whole list's by the document; were it the page's, a full page must not be the end
            count = counted(answer)
            if len(objects) < PAGE and (count is None or len(seen) >= count):
                return

    async def device(self, which: Literal["lockers", "sensors", "dtu_devices"], sn: str) -> dict[str, Any] | None:
        """One device by its number; None where there is none. Raises CallFailed."""
        return await self._one(f"{which}/{sn}", {})

    async def notification(self, device_type: int) -> dict[str, Any] | None:
        """Where the callbacks of a device type go now; None where nothing is set. Raises CallFailed."""
        return await self._one("notifications", {"device_type": str(device_type)})

    async def set_notification(self, device_type: int, status: str, command: str, spelling: Spelling) -> None:
        """Have a device type's callbacks sent to these addresses. Raises CallFailed."""
        await self.post(
            "notifications", {"device_type": device_type, "status_changed_callback_url": status, spelling: command}
        )

    async def fire_test(self, sn: str, callback: CallbackType) -> dict[str, Any]:
        """Have Kinot send a test notification for a device; what became of it. Raises CallFailed."""
        number: int | str = int(sn) if sn.isdecimal() else sn
        answer = await self.post("test/notifications", {"sn": number, "callback_type": callback})
        return next(iter(objects_of(answer)), {})

    async def send_command(self, sn: int, value: int, sending: Callable[[], None]) -> dict[str, Any]:
        """Give a command ("Send command"), before all other calls; the platform's own words on it. Raises CallFailed.

        `sending` is called when the connection stands, before the first byte; what it raises is raised.
        """
        body = {"sn": sn, "command": 1, "parameter": {"key": "handle", "value": value}}
        answer = await self._call("POST", "commands", {}, _json(body), lane="command", sending=sending)
        return next(iter(objects_of(answer)), {})

    async def command(self, guid: str) -> dict[str, Any] | None:
        """How far a command has come ("Get a Specific Command"); None where there is none. Raises CallFailed."""
        return await self._one("commands", {"guid": guid}, "ask")

    async def _one(self, path: str, query: Mapping[str, str], lane: Lane = "poll") -> dict[str, Any] | None:
        try:
            return next(iter(objects_of(await self._call("GET", path, query, b"", lane=lane))), None)
        except CallFailed as failure:
            if failure.answer.action is Action.SKIP:
                return None
            raise

    # --- one call -----------------------------------------------------------------------------------------------

    async def get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The whole answer, its code 0; numbers are `Number`s. Raises CallFailed."""
        return await self._call("GET", path, query, b"")

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `get`."""
        return await self._call("POST", path, {}, _json(body))

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, *, lane: Lane = "poll",
        sending: Callable[[], None] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        target = resource(f"{ROOT}/{path}", query)
        async with self._pace.turn(lane):
            # signed when it goes out: the time stamp must not age while others have their turn
            headers, signed = signed_headers(
                method,
                target,
                body,
                key=self._key,
                secret=self._secret,
                stamp_ms=self._clock.now_ms(),
                nonce=secrets.token_hex(16),
            )
            # not one byte may be written otherwise than signed
            url = URL(self._server + target, encoded=True)
            reply = await self._api.send(method, url, body or None, headers, sending=sending)
        return self._judge(reply, signed)

    async def raw(self, call: RawCall, sending: Callable[[], None], timeout: float) -> Reply:
        """Any call, before all others, sent once; its answer as it came. Raises CallFailed."""
        async with self._pace.turn("command"):
            headers, _ = signed_headers(
                call.method, call.ordered, call.body,
                key=self._key, secret=self._secret, stamp_ms=self._clock.now_ms(), nonce=secrets.token_hex(16),
            )  # fmt: skip
            url = URL(self._server + call.ordered, encoded=True)
            return await self._api.send(
                call.method, url, call.body or None, headers, sending=sending, timeout=timeout, largest=LARGEST_ANSWER
            )

    def _judge(self, reply: Reply, signed: str) -> dict[str, Any]:
        status, headers, content = reply
        try:
            whole = decode(content.decode("utf-8-sig"))
        except ValueError:
            whole = None
        code = str(whole["code"]) if isinstance(whole, dict) and isinstance(whole.get("code"), (str, int)) else None
        if status != 200:
            message = headers.get("X-Ca-Error-Message", "")
            if not message and code in answers.CODES:
                raise CallFailed(code, answers.CODES[code])
            if "StringToSign" in message:
                log.error(
                    "The API gateway has signed another string",
                    gateway=message,
                    ours=signed.replace("\n", "#"),
                    request_id=headers.get("X-Ca-Request-Id"),
                )
            elif message:
                log.warning(
                    "The API gateway refuses a call", message=message, request_id=headers.get("X-Ca-Request-Id")
                )
            answer = answers.answer_of_status(status, message)
            raise CallFailed(f"HTTP {status}", answer, retry_after=reply.retry_after(self._clock.now()))
        if not isinstance(whole, dict) or code is None:
            log.warning(
                "An answer is not of the vendor's form", begin=without_codes(content[:200].decode("utf-8", "replace"))
            )
            raise CallFailed("no code", answers.NOT_JSON)
        if code != "0":
            raise CallFailed(code, answers.answer_of(code))
        return whole


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def objects_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of an answer, those that are objects."""
    found = answer.get("objects")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def counted(answer: Mapping[str, Any]) -> int | None:
    """The length of the whole list; None where the answer does not say."""
    found = answer.get("count")
    value = found.value if isinstance(found, Number) else found
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None
