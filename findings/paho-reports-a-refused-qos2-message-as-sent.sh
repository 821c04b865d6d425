#!/usr/bin/env bash
# A broker that refuses a QoS 2 message says so in its PUBREC (MQTT 5, 3.5.2.1: mosquitto with an access list answers 0x87,
# not authorised). paho reads no reason there: it goes on with PUBREL, and calls on_publish at the end with what the
# PUBCOMP says, which is no more than that the handshake is over. A message that no subscriber will ever see counts as
# delivered, where the same one at QoS 1 is reported as refused.
# Seen with paho-mqtt 2.2.0, mosquitto 2.0.11 (Debian 12), Python 3.11.7:
#   QoS 1: on_publish says Not authorized (0x87)
#   QoS 2: on_publish says Success (0x00)
# The pump's answer: pump/sinks/mqtt/link.py reads the PUBREC itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -q mosquitto=2.0.11-1.2+deb12u2 >/dev/null 2>&1 && dpkg -x mosquitto_*.deb deb)
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check paho-mqtt==2.2.0
cat >"$folder/expected" <<'TEXT'
QoS 1: on_publish says Not authorized (0x87)
QoS 2: on_publish says Success (0x00)
TEXT
cat >"$folder/try.py" <<'PYTHON'
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt

folder = Path(sys.argv[1])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
(folder / "acl").write_text("topic read site/#\n")
(folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {folder}/acl\nlog_dest none\n")
folder.chmod(0o755)  # mosquitto gives up root's rights
broker = subprocess.Popen([folder / "deb/usr/sbin/mosquitto", "-c", folder / "conf"])
try:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionError:
            time.sleep(0.05)
    for qos in (1, 2):
        connected, answered = threading.Event(), threading.Event()

        def on_publish(client, userdata, mid, reason, properties, qos=qos, answered=answered):
            print(f"QoS {qos}: on_publish says {reason} ({reason.value:#04x})")
            answered.set()

        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.on_publish = on_publish
        client.on_connect = lambda *_, connected=connected: connected.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        connected.wait(10)
        client.publish("site/gate", b"open", qos=qos)
        answered.wait(10)
        client.disconnect()
        client.loop_stop()
finally:
    broker.terminate()
    broker.wait()
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
