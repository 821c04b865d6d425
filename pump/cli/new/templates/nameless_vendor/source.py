"""Nameless vendor: batches are polled, and each is confirmed once it is on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from pump.cli.new.templates.nameless_vendor import parse
from pump.cli.new.templates.nameless_vendor.client import Client
from pump.cli.new.templates.nameless_vendor.settings import NamelessVendorSettings
from pump.core.errors import MessageError, Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.source import Source

_SILENCE: Final = 60.0
"""Seconds of silence, above a poll and two calls that time out, after which the source counts as stalled."""


class NamelessVendor(Source[NamelessVendorSettings]):
    """Polls one account. It keeps no state: the vendor hands out again what was not confirmed."""

    Settings = NamelessVendorSettings

    async def run(self, intake: Intake) -> None:
        """As Source.run. Raises Unavailable (the vendor or the spool is away), Misconfigured (the key is refused)."""
        settings = self.settings
        intake.component.expects = settings.poll_interval + 2 * settings.timeout + _SILENCE
        async with Client(
            server=settings.server,
            api_key=settings.api_key.get_secret_value(),
            timeout=settings.timeout,
            clock=self.clock,
        ) as client:
            while True:
                if not await self._take(client, intake):
                    await self.clock.sleep(settings.poll_interval)

    async def _take(self, client: Client, intake: Intake) -> bool:
        """Store one batch, then confirm it; false where nothing was new."""
        body = await client.records()
        try:
            batch = parse.batch(body)
        except MessageError as error:
            await intake.unparsed(body, str(error))
            raise Unavailable(f"{error}: check server, and for a proxy between") from None
        intake.up()
        if batch.number is None:
            return False
        await intake.put(*self._items(batch.records))
        await client.confirm(batch.number)  # behind put: all is on disk, and the vendor may forget it
        return True

    def _items(self, records: Sequence[Any]) -> Iterator[Event | Unparsed]:
        zone, now = self.settings.time_zone or ZoneInfo("UTC"), self.clock.now()
        for record in records:
            try:
                yield parse.record(record, zone, now)
            except MessageError as error:
                yield Unparsed(record, str(error))
