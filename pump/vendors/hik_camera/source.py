"""The alertStream of one device: settings, and the life of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from yarl import URL

from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.core.settings import Duration, Secret, Size, SourceSettings
from pump.ingest.intake import Intake
from pump.ingest.stream.client import DigestClient, tls_context
from pump.ingest.stream.multipart.parts import Limits
from pump.ingest.stream.stream import Stream
from pump.source import Source
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.handler import CameraHandler

_PART: Final = 1 << 20
"""Bytes of a message: they are a few KB."""
_JUDGED: Final = (
    "application/json", "application/xml", "text/xml", "text/json", "text/plain", "text/html", "",
)  # fmt: skip


def _device(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError('an address such as "http://192.0.2.10" is wanted')
    if parsed.user or parsed.password:
        raise ValueError("the address must not hold the user or the password; they have settings of their own")
    return str(parsed.origin())


class HikCameraSettings(SourceSettings):
    """`[sources.NAME]` of `type = "hik-camera"`."""

    url: Annotated[str, AfterValidator(_device)] = Field(description="the device, such as http://192.0.2.10")
    username: str = Field(default="admin", min_length=1, pattern="^[^:]+$")
    password: Secret
    heartbeat_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="silence after which the link is made anew; longer for devices without heartbeats",
    )
    event_timeout: Duration = Field(
        default=10.0, gt=0, description="silence after which what lasts (motion, intrusion) has ended"
    )
    events: tuple[str, ...] = Field(
        default=(), description="the device's event types to keep, such as linedetection; all where empty"
    )
    max_picture: Size = Field(default=16 << 20, description="a larger picture is skipped and told")
    verify_tls: bool = Field(default=True, description="false takes any certificate of an https device")
    ca: Path | None = Field(default=None, description="a file with the authority of the device's certificate")

    def identity(self) -> str | None:
        """Two sources at one device would tell everything twice."""
        return self.url

    def warnings(self) -> list[str]:
        """An unverified peer may be anybody."""
        if self.url.startswith("https:") and not self.verify_tls:
            return ["verify_tls = false: whoever answers at this address is believed to be the device; name its ca"]
        return []


class HikCamera(Source[HikCameraSettings]):
    """Reads GET /ISAPI/Event/notification/alertStream for as long as the device has it.

    Its state in the spool: `device`, what the device says of itself; `matter/...`, what has begun and not ended;
    `record/...`, what came with a UUID; `stream/rejected`, after a rejected password.
    """

    Settings = HikCameraSettings

    def __init__(self, name: str, settings: HikCameraSettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._stream: Stream | None = None

    async def run(self, intake: Intake) -> None:
        """As Source.run. Raises Misconfigured for a rejected password and an unusable `ca`."""
        if self._stream is None:
            self._stream = self._make(intake)
        await self._stream.run(intake)

    def _make(self, intake: Intake) -> Stream:
        settings = self.settings
        ssl: Any = True
        if settings.url.startswith("https:"):
            try:
                ssl = tls_context(verify=settings.verify_tls, ca=settings.ca)
            except (OSError, ValueError) as error:
                raise Misconfigured(f"the certificates of {settings.ca} cannot be used: {error}") from error
        password = settings.password.get_secret_value()
        link = DigestClient(settings.url, username=settings.username, password=password, ssl=ssl, count=intake.count)
        listener = CameraHandler(
            clock=self.clock,
            zone=settings.time_zone or ZoneInfo("UTC"),
            event_timeout=settings.event_timeout,
            wanted=frozenset(kind.lower() for kind in settings.events),
            url=settings.url,
            source=self.name,
        )
        stream = Stream(
            link,
            listener,
            clock=self.clock,
            heartbeat_timeout=settings.heartbeat_timeout,
            judges=dict.fromkeys(_JUDGED, read_document),
            limits=Limits(part=_PART, picture=settings.max_picture),
            credentials=(settings.url, settings.username, password),
        )
        listener.stream = stream
        return stream
