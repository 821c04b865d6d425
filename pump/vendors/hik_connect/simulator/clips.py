"""The simulated vendor's clips: devices upload what is asked of them, and links are given out (document, 5.5.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.message_parts import SITE
from pump.vendors.hik_connect.simulator.rules import Refused

FILES: Final = "/REC_FILES/"
LINK_LIFE: Final = 3600
"""Seconds that a link lives: X-Amz-Expires of the document's example."""
UPLOAD: Final = 10.0
"""Seconds that a device takes to upload a clip; the document gives no figure."""
LONGEST: Final = 3600.0
"""Seconds of one clip; the same."""
_CAMERAS: Final = {source.id for source in SITE if source.type == "camera"}


@dataclass(slots=True)
class Task:
    """A save that was taken."""

    camera: str
    begin: datetime
    end: datetime
    at: float
    status: int | None = None
    """Set by tests: 2 failed, 3 expired, 4 deleted."""


class Clips:
    """Those of one account. `fate` is the status of tasks to come, where a device does not upload them."""

    def __init__(self, clock: Clock) -> None:
        self.server = ""
        """Begins the links."""
        self.task_name = "taskId"
        """The table has "taskid", the example "taskId"."""
        self.fate: int | None = None
        self.tasks: dict[str, Task] = {}
        self.given: Counter[str] = Counter()
        """Whole files, by task."""
        self._clock = clock

    def save(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """POST video/save."""
        if given["cameraId"] not in _CAMERAS:
            raise Refused("VMS000003", "there is no such camera")
        begin, end = (_time(given[name]) for name in ("beginTime", "endTime"))
        if not begin < end:
            raise Refused("OPEN000010", "the end is not after the beginning")
        if (end - begin).total_seconds() > LONGEST:
            raise Refused("OPEN000027", "the clip is too long")
        number = f"{len(self.tasks):032x}"
        task = f"{given['cameraId']}#{number}"
        # What has not been recorded yet cannot be uploaded.
        fate = 2 if end > self._clock.now() else self.fate
        self.tasks[task] = Task(given["cameraId"], begin, end, self._clock.monotonic(), fate)
        return {self.task_name: task}

    def link(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """POST video/download/url."""
        task = self.tasks.get(given["taskId"])
        if task is None:
            raise Refused("OPEN000010", "the task is unknown")
        expires = self._clock.now_ms() + LINK_LIFE * 1000
        if task.status is not None:
            return {"status": task.status, "expireTime": expires, "urls": []}
        if self._clock.monotonic() - task.at < UPLOAD:
            return {"status": 1, "expireTime": expires, "urls": []}
        signed = f"{self._clock.now():%Y%m%dT%H%M%SZ}"
        camera, _, number = given["taskId"].partition("#")
        file = f"{camera}/{number}_{task.begin:%Y%m%dT%H%M%SZ}_{task.end:%Y%m%dT%H%M%SZ}.mp4"
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed}&X-Amz-Expires={LINK_LIFE}&X-Amz-Signature=00"
        return {"status": 0, "expireTime": expires, "urls": [f"{self.server}{FILES}{file}?{query}"]}

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The file of a link; in the field another host gives it."""
        camera, _, rest = request.path.removeprefix(FILES).partition("/")
        task = f"{camera}#{rest.partition('_')[0]}"
        if request.method != "GET" or task not in self.tasks:
            return web.Response(status=404)
        try:
            signed = datetime.strptime(f"{request.query['X-Amz-Date']}+0000", "%Y%m%dT%H%M%SZ%z")
        except (KeyError, ValueError):
            return web.Response(status=403)
        if (self._clock.now() - signed).total_seconds() >= LINK_LIFE:
            return web.Response(status=403)
        self.given[task] += 1
        return web.Response(body=clip(task), content_type="video/mp4")


def clip(task: str) -> bytes:
    """The file of a task."""
    return b"\0\0\0\x18ftypmp42" + task.encode() + bytes(1000)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or "T" not in text or text.endswith("Z"):
        raise Refused("OPEN000026", "a time is wanted, in the format of yyyy-MM-ddTHH:mm:ss+08:00")
    return found


CALLS: Final = {
    "/api/hccgw/video/v1/video/save": Clips.save,
    "/api/hccgw/video/v1/video/download/url": Clips.link,
}
