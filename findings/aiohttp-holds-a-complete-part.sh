#!/usr/bin/env bash
# A device's alertStream is multipart without an end, each part with a Content-Length. aiohttp's MultipartReader hands a
# part on only when the line break behind it came too. By RFC 2046, 5.1.1 that break belongs to the next delimiter, and a
# device may send both with the next message: until then an alert that is here, whole, is not reported. If the
# connection ends first (a reboot, a cut), the alert is lost in a ValueError. The length alone was enough.
# Seen with aiohttp 3.14.5, Python 3.11.7; one whole part, 2 s of nothing, then what is named:
#   then the next part: the first was handed on after it
#   then the connection ends: ValueError, nothing was handed on
#   a line break behind the part: handed on at once
# The pump's answer: pump/ingest/stream hands a part on when its Content-Length is full (tests/bench/streams.py has the
# delay).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import contextlib

import aiohttp

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=boundary\r\nConnection: close\r\n\r\n'
ALERT = b"<EventNotificationAlert><eventType>doorForced</eventType></EventNotificationAlert>"
PART = b"--boundary\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(ALERT), ALERT)


async def read(behind: bytes, later: bytes) -> tuple[str, bool]:
    """What became of the first part, and whether it was handed on before `later` was sent."""
    silence_is_over = asyncio.Event()

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + PART + behind)
        await writer.drain()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(silence_is_over.wait(), 2)
        silence_is_over.set()
        writer.write(later)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(device, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/ISAPI/Event/notification/alertStream" % server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as session, session.get(url) as answer:
        part = await aiohttp.MultipartReader.from_response(answer).next()
        try:
            what = "handed on" if await part.read() == ALERT else "changed"
        except ValueError:
            what = "ValueError, nothing was handed on"
        at_once = not silence_is_over.is_set()
        silence_is_over.set()
        return what, at_once


async def main() -> None:
    what, at_once = await read(b"", b"\r\n" + PART + b"\r\n")
    print("then the next part: the first was", what, "at once" if at_once else "after it")
    what, at_once = await read(b"", b"")
    print("then the connection ends:", what)
    what, at_once = await read(b"\r\n", b"")
    print("a line break behind the part:", what, "at once" if at_once else "late")


asyncio.run(main())
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
