"""The gateway's calls beside the stream: answers decoded, errors translated (document, 8.1.5, 8.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import orjson
from yarl import URL

from pump.commands.calls import JSON, RawCall
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.handler import RetryAdvice
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import STALE, LoginLockout
from pump.vendors.hik_gateway.answers import Away, Expired, Rejected, Trouble, failed, trouble
from pump.vendors.hik_gateway.parse import loads
from pump.vendors.hik_gateway.subscription import PATH, Wanted, broken

CALL_SECONDS: Final = 10.0
LEAVE_SECONDS: Final = 3.0
"""A stop has a deadline, and so has its last call."""


def address(path: str, device: str | None = None) -> str:
    """The path, which may have a query, as the gateway wants it; with the devIndex of the device that it is for."""
    joined = f"{path}{'&' if '?' in path else '?'}format=json"
    return joined if device is None else f"{joined}&devIndex={quote(device, safe='')}"


class Client:
    """One gateway. All its methods raise Trouble, of which Rejected says that the password is not taken."""

    def __init__(self, link: DigestClient, lockout: LoginLockout, store: StreamIntake) -> None:
        self._link = link
        self._lockout = lockout
        self._store = store
        self._expired = 0
        """Expired challenges in a row."""
        self._one = asyncio.Lock()
        """One call at a time, so that a rejected password is known before the next tries it."""

    async def call(
        self, method: str, path: str, body: Any = None, *, what: str, timeout: float = CALL_SECONDS,
        device: str | None = None,
    ) -> Any:  # fmt: skip
        """The decoded JSON of a call, {} where there is none. `what` names it for people, `device` whom it asks.

        A password that was rejected is not tried again before its time, whoever asks.
        """
        async with self._one:
            answer = await self._ask(method, address(path, device), body, what, timeout)
        try:
            return loads(answer.body) if answer.body.strip() else {}
        except ValueError:
            raise Trouble(f"{what} was answered with something else than JSON") from None

    async def once(
        self, method: str, path: str, body: Any, *, what: str, timeout: float, sending: Callable[[], None]
    ) -> Answer:
        """A call that makes a device act, by its whole path: sent once, `sending` as in `DigestClient.stream`."""
        async with self._one:
            return await self._ask(method, path, body, what, timeout, sending)

    async def raw(self, call: RawCall, timeout: float, sending: Callable[[], None]) -> Answer:
        """Any call, as `once`; its answer as it came, but for a rejected login."""
        async with self._one:
            body = call.body or None
            answer = await self._sent(
                call.method, self._link.exact(call.path), body, "this", timeout, sending, call.content_type
            )
            return await self._judged(answer, "this") if answer.status == 401 else answer

    async def _ask(
        self, method: str, target: str, body: Any, what: str, timeout: float,
        sending: Callable[[], None] | None = None,
    ) -> Answer:  # fmt: skip
        content = None if body is None else orjson.dumps(body)
        return await self._judged(await self._sent(method, target, content, what, timeout, sending), what)

    async def _sent(
        self, method: str, target: str | URL, content: bytes | None, what: str, timeout: float,
        sending: Callable[[], None] | None, content_type: str = JSON,
    ) -> Answer:  # fmt: skip
        """The answer, whatever it says."""
        if (left := self._lockout.left) > 0:
            raise Trouble(f"the gateway rejected the password; no call, {what} included, for {left:.0f} s more")
        try:
            return await self._link.request(
                method, target, body=content, content_type=content_type, timeout=timeout, sending=sending
            )
        except UnexpectedStatus as refused:
            return refused.answer
        except ConnectionLost as lost:
            raise Away(lost.reason, refused=lost.refused) from None

    async def _judged(self, answer: Answer, what: str) -> Answer:
        """The same where it is no failure."""
        if failed(answer):
            raise await self._failure(answer, what)
        self._expired = 0
        return answer

    async def _failure(self, answer: Answer, what: str) -> Trouble:
        """The error that it means, made where it is not raised: the frame that raises it must not hold it."""
        found = trouble(answer, what)
        self._expired = self._expired + 1 if isinstance(found, Expired) else 0
        if self._expired > STALE:
            found = Rejected(f"{found.reason}, {self._expired} times in a row; is its clock or the network slow?")
        if isinstance(found, Rejected):
            await self._lockout.reject(RetryAdvice(found.reason, found.wait), self._store)
        return found

    # --- a subscription that stands, by its number ------------------------------------------------------------------

    async def unsubscribe(self, number: str) -> None:
        """Give the gateway its place back."""
        path = f"{PATH}/unSubscribeDeviceMgmt/{number}"
        await self.call("DELETE", path, what="closing the subscription", timeout=LEAVE_SECONDS)

    async def add(self, number: str, index: str, wanted: Wanted) -> None:
        """Subscribe to one more device, or change what it sends; only with eventMode device."""
        path = f"{PATH}/subscribeDeviceMgmt/{number}/devIndex/{quote(index, safe='')}"
        order = {"SubscribeDevEvent": wanted.device(index)}
        await self.call("POST", path, order, what=f"subscribing to the device {index}")

    async def drop(self, number: str, index: str) -> None:
        """End one device's subscription; only with eventMode device."""
        path = f"{PATH}/unSubscribeDeviceMgmt/{number}/devIndex/{quote(index, safe='')}"
        await self.call("DELETE", path, what=f"unsubscribing from the device {index}")

    async def broken(self, number: str) -> dict[str, str]:
        """The devices whose subscription does not stand, each with why; only with eventMode device."""
        path = f"{PATH}/subscribeDeviceMgmt/{number}/queryStatus"
        answer = await self.call("GET", path, what="the subscription's status")
        if not isinstance(answer, dict) or not isinstance(answer.get("SubscribeQueryStatusList"), list):
            raise Trouble("the subscription's status was answered without a list of devices")
        return broken(answer)
