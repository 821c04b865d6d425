#!/usr/bin/env bash
# tuya-iot-py-sdk asks Tuya's cloud for an address and a password of its message broker and then listens there. Where the
# cloud does not give them once (busy, a limit of calls, as ever "success": false with HTTP 200), its thread takes the
# time until the next asking from what it has not got: it ends with an AttributeError in a thread, and no message of any
# device comes again. Neither `start` nor a listener hears of it, and the cloud, which would answer now, is not asked.
# Seen with tuya-iot-py-sdk 0.6.6, paho-mqtt 1.6.1, Python 3.11.7:
#   asked for the broker 1 times
#   listening no
#   ended by AttributeError
# The pump's answer: a refusal is an answer like any other, a call that is refused is tried again with growing pauses, and
# a part that ends begins anew (pump/commands/rest.py, pump/runtime/supervisor.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tuya-iot-py-sdk==0.6.6 paho-mqtt==1.6.1
cat >"$folder/expected" <<'TEXT'
asked for the broker 1 times
listening no
ended by AttributeError
TEXT
cat >"$folder/try.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tuya_iot import AuthType, TuyaOpenAPI, TuyaOpenMQ

TOKEN = {"access_token": "a", "refresh_token": "r", "expire_time": 7200, "uid": "u"}
asked = []
ended = []


class Cloud(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked.append(self.path)
        answer = {"success": True, "result": TOKEN, "t": 1795000000000}
        if self.path.endswith("access-config"):
            answer = {"success": False, "code": 500, "msg": "system error, please contact the admin", "t": 1795000000000}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
threading.Thread(target=server.serve_forever, daemon=True).start()
threading.excepthook = lambda failed: ended.append(failed.exc_type.__name__)
api = TuyaOpenAPI(f"http://127.0.0.1:{server.server_port}", "id", "secret", AuthType.CUSTOM)
assert api.connect("user", "password")["success"]
hub = TuyaOpenMQ(api)
hub.daemon = True
hub.add_message_listener(print)
hub.start()
hub.join(20)
print("asked for the broker", sum(path.endswith("access-config") for path in asked), "times")
print("listening", "yes" if hub.is_alive() else "no")
print("ended by", *ended)
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
