#!/usr/bin/env bash
# aiohttp's client sends a PUT (GET and DELETE too) a second time by itself, on a fresh connection, when the first one
# ended before an answer came. Nothing in the call asks for it and there is no public way to turn it off. ISAPI opens
# gates and reboots cameras by PUT: a device that acts and then drops its answer acts twice. A POST is sent once.
# Seen with aiohttp 3.14.5, Python 3.11.7:
#   PUT: 2 requests arrived, then ServerDisconnectedError
#   DELETE: 2 requests arrived, then ServerDisconnectedError
#   POST: 1 requests arrived, then ServerDisconnectedError
# The pump's answer: pump/ingest/stream/once.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
cat >"$folder/expected" <<'TEXT'
PUT: 2 requests arrived, then ServerDisconnectedError
DELETE: 2 requests arrived, then ServerDisconnectedError
POST: 1 requests arrived, then ServerDisconnectedError
TEXT
cat >"$folder/try.py" <<'PYTHON'
import asyncio

import aiohttp


async def main() -> None:
    arrived = 0

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1  # here a gate opens
        writer.close()

    server = await asyncio.start_server(device, "127.0.0.1", 0)
    address = "http://127.0.0.1:%d/ISAPI/System/IO/outputs/1/trigger" % server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        for method in ("PUT", "DELETE", "POST"):
            arrived = 0
            try:
                await session.request(method, address)
            except aiohttp.ClientError as error:
                print(f"{method}: {arrived} requests arrived, then {type(error).__name__}")
    server.close()


asyncio.run(main())
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
