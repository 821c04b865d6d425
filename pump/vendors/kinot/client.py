"""Kinot's REST API: signed calls, lists page by page (document, "Parking lock" to "Test notification").

Every way a call can fail becomes one `CallFailed` here, with the row of `answers` that says what to do.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp
import structlog
from yarl import URL

from pump.core.clock import Clock
from pump.vendors.kinot import answers
from pump.vendors.kinot.answers import Action, Answer
from pump.vendors.kinot.numbers import Number, decode, without_codes
from pump.vendors.kinot.sign import resource, signed_headers

log = structlog.get_logger()

ROOT: Final = "/open/lora/v1"
MAX_BODY: Final = 8 << 20
"""Bytes of an answer that are read; a page of 100 locks is 30 KiB."""
PAGE: Final = 100
"""Devices a page; 10 to 100 are allowed."""
MOST_PAGES: Final = 10_000
INTERVAL: Final = 0.2
"""Seconds from the beginning of one call to the next: the gateway throttles those who hurry."""
_CHUNK: Final = 64 << 10
_LONGEST_RETRY_AFTER: Final = 3600.0

List = Literal["lockers", "sensors"]
KINDS: Final[dict[List, str]] = {"lockers": "lock", "sensors": "sensor"}
"""The two lists, with the kind of their devices."""
CallbackType = Literal["status_changed", "command_resp"]
Spelling = Literal["command_resp_callback_url", "commandResp_callback_url"]
SPELLINGS: Final[tuple[Spelling, ...]] = ("command_resp_callback_url", "commandResp_callback_url")
"""The document's sample and its table disagree on one key."""


class CallFailed(Exception):
    """A call came to nothing; `answer` says what to do about it. No text of it holds a secret.

    `code` is the body's code, "HTTP 503" or the error's kind, `retry_after` the server's wish in seconds.
    """

    def __init__(self, code: str, answer: Answer, *, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {answer.text}")
        self.code = code
        self.answer = answer
        self.retry_after = retry_after

    @property
    def answered(self) -> bool:
        """Whether somebody answered at all."""
        return self.code.isdecimal() or self.code.startswith("HTTP ")


class Client:
    """One app key's calls, one at a time and paced; an async context manager that holds the connections."""

    def __init__(
        self, *, server: str, app_key: str, app_secret: str, clock: Clock, timeout: float, interval: float = INTERVAL
    ) -> None:
        """`server` is scheme and host, `timeout` one call's in seconds."""
        self._server = server.rstrip("/")
        self._key = app_key
        self._secret = app_secret
        self._clock = clock
        self._timeout = timeout
        self._interval = interval
        self._turn = asyncio.Lock()
        self._free = clock.monotonic()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=self._timeout, sock_connect=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

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
            count = _count(answer)
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

    async def _one(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            return next(iter(objects_of(await self.get(path, query))), None)
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
        return await self._call("POST", path, {}, json.dumps(body, separators=(",", ":")).encode())

    async def _call(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> dict[str, Any]:
        assert self._session is not None, "the client is used outside its context"
        target = resource(f"{ROOT}/{path}", query)
        async with self._turn:
            await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))
            self._free = self._clock.monotonic() + self._interval
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
            try:
                async with self._session.request(
                    method,
                    URL(self._server + target, encoded=True),  # not one byte may be written otherwise than signed
                    data=body or None,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    content = await _read(response)
                    status, told = response.status, response.headers.copy()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # the library's errors may carry the request's headers, the signature among them
                raise _translate(error) from None
        return self._judge(status, told, content, signed)

    def _judge(self, status: int, headers: Mapping[str, str], content: bytes | None, signed: str) -> dict[str, Any]:
        if content is None:
            raise CallFailed("too large", answers.TOO_LARGE)
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
            raise CallFailed(f"HTTP {status}", answer, retry_after=_seconds(headers.get("Retry-After")))
        if not isinstance(whole, dict) or code is None:
            log.warning(
                "An answer is not of the vendor's form", begin=without_codes(content[:200].decode("utf-8", "replace"))
            )
            raise CallFailed("no code", answers.NOT_JSON)
        if code != "0":
            raise CallFailed(code, answers.answer_of(code))
        return whole


def objects_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of an answer, those that are objects."""
    found = answer.get("objects")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _count(answer: Mapping[str, Any]) -> int | None:
    found = answer.get("count")
    value = found.value if isinstance(found, Number) else found
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that Retry-After asks for; gateways send a number."""
    try:
        seconds = float(retry_after) if retry_after is not None else None
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if seconds is not None and seconds == seconds else None


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None where it is longer than `MAX_BODY`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(_CHUNK):
        size += len(part)
        if size > MAX_BODY:
            response.close()
            return None
        parts.append(part)
    return b"".join(parts)


def _translate(error: Exception) -> CallFailed:
    """The library's errors, told apart by kind alone."""
    answer = next((answer for kinds, answer in _KINDS if isinstance(error, kinds)), answers.UNREACHABLE)
    return CallFailed(type(error).__name__, answer)


_KINDS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Answer], ...]] = (
    (TimeoutError, answers.SILENCE),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError), answers.UNTRUSTED),
    (aiohttp.ClientConnectorError, answers.UNREACHABLE),
    (aiohttp.ServerDisconnectedError, answers.CUT_OFF),
    (aiohttp.ClientPayloadError, answers.CUT_OFF),
    ((aiohttp.ClientResponseError, ValueError), answers.NOT_JSON),
    (aiohttp.ClientOSError, answers.CUT_OFF),
)
