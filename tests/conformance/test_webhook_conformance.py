"""The conformance suite of sinks, on webhooks: single ones, batches, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.webhook.sink import WebhookSettings, WebhookSink
from pump.testing.receiver import Received, Receiver
from pump.testing.sink_conformance import CHECKS, Peer, applies

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


def verify(received: Received) -> None:
    Webhook(SECRET).verify(received.body, dict(received.headers))


class WebhookPeer(Peer):
    """A receiver that knows the secret and verifies each request with the published library."""

    can = frozenset({"stop", "stall", "reject"})
    table: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.receiver = Receiver(verify)

    async def start(self) -> None:
        await self.receiver.start()

    async def stop(self) -> None:
        await self.receiver.stop()

    async def stall(self) -> None:
        self.receiver.stall()

    async def resume(self) -> None:
        self.receiver.resume()

    async def reject(self, numbers: Sequence[int]) -> None:
        def reply(received: Received) -> web.Response | None:
            return web.Response(status=422) if set(received.numbers) & set(numbers) else None

        self.receiver.reply = reply

    def settings(self) -> WebhookSettings:
        return WebhookSettings.model_validate(
            {
                "type": "webhook",
                "url": self.receiver.url,
                "secret": SECRET,
                "allow_private": True,
                "start": "oldest",
                **self.table,
            }
        )

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return WebhookSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        assert not self.receiver.wrong
        return list(self.receiver.taken)


class BatchPeer(WebhookPeer):
    table: ClassVar[dict[str, Any]] = {"batch_size": 50}


@pytest.mark.parametrize("peer", [WebhookPeer, BatchPeer])
@pytest.mark.parametrize("check", CHECKS)
async def test_webhooks_keep_the_contract(tmp_path: Path, peer: type[WebhookPeer], check: str) -> None:
    assert applies(check, peer)

    one = peer(tmp_path)
    await one.start()
    try:
        await CHECKS[check](one)
    finally:
        await one.resume()
        await one.stop()
