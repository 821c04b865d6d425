"""Answers of the page: templates with every text escaped, the package's own files, and the headers that guard both."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from pump.core.tasks import Threads
from pump.core.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not no-referrer: with that a form's Origin is null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every answer of the page. Nothing is asked of another host, no script but the package's own runs, nobody frames
it."""
_FOREVER: Final = "public, max-age=31536000, immutable"
_HERE: Final = Path(__file__).parent
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
threads: Final = Threads("operators' page", 2)
"""For all that the page reads from disk; no event waits for them."""


class Renderer:
    """The templates. jinja2 is loaded when somebody looks for the first time: who never looks pays nothing for it."""

    def __init__(self) -> None:
        self._templates: Environment | None = None

    async def page(self, name: str, status: int = 200, **values: Any) -> web.Response:
        """The template as an answer."""
        if self._templates is None:
            self._templates = await threads.run(_environment)
        body = self._templates.get_template(f"{name}.html").render(asset=asset, **values)
        return web.Response(text=body, status=status, content_type="text/html", headers=HEADERS)


def json(value: Any, status: int = 200) -> web.Response:
    """A JSON answer of the page."""
    return web.Response(
        body=orjson.dumps(value, default=str), status=status, content_type="application/json", headers=HEADERS
    )


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """A text without what steers a terminal or turns the direction of writing; see `printable`."""
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    def lines(value: str) -> Markup:
        """A text of several lines, each of them printable."""
        return Markup("\n").join(printable(line) for line in value.split("\n"))

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters["lines"] = lines
    # without Pillow there are none: the whole picture stands in
    made.globals["thumbnails"] = "?thumbnail=160" if find_spec("PIL") is not None else ""
    return made


# --- the package's own files ------------------------------------------------------------------------------------------


@cache
def _files() -> Mapping[str, tuple[bytes, str, str]]:
    """Name to content, its type, and a digest of it."""
    found = {}
    for path in sorted((_HERE / "static").iterdir()):
        content = path.read_bytes()
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found[path.name] = (content, kind, hashlib.sha256(content).hexdigest()[:12])
    return found


def asset(name: str) -> str:
    """The address of one of the package's files; it changes with the content, so that browsers may keep it."""
    return f"/static/{name}?v={_files()[name][2]}"


async def static(request: web.Request) -> web.Response:
    """GET /static/NAME."""
    files = await threads.run(_files)
    found = files.get(request.match_info["name"])
    if found is None:
        return web.Response(status=404, text="there is no such file\n", headers=HEADERS)
    content, kind, digest = found
    headers = {**HEADERS, "ETag": f'"{digest}"'}
    if request.query.get("v") == digest:
        headers["Cache-Control"] = _FOREVER
    if request.headers.get("If-None-Match") == f'"{digest}"':
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)
