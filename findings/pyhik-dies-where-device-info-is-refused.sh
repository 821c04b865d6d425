#!/usr/bin/env bash
# A camera's user who may listen but not read parameters (on Hikvision cameras these are separate permissions) is
# refused deviceInfo with 403 and given the alertStream. pyHik then has no table of events, and its thread ends with an
# AttributeError at the first alert. The caller sees nothing of it: `stream_connected` stays true, no callback is
# called, and nothing connects again.
# Seen with pyHik 0.4.8, requests 2.32.3, Python 3.11.7; the camera posts one alert of motion after the other:
#   deviceInfo given: its thread lives, stream_connected is True, requests for the stream: 1
#   deviceInfo refused: its thread has ended, stream_connected is True, requests for the stream: 1
# The pump's answer: pump/vendors/hik_camera needs nothing but the stream; what it may not ask costs the names alone
# (tests/unit/vendors/hik_camera/test_attacks.py: ..._may_listen_and_ask_nothing_gets_every_event).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyhik==0.4.8 requests==2.32.3
cat >"$folder/expected" <<'TEXT'
deviceInfo given: its thread lives, stream_connected is True, requests for the stream: 1
deviceInfo refused: its thread has ended, stream_connected is True, requests for the stream: 1
TEXT
cat >"$folder/try.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pyhik.hikvision import HikCamera

XMLNS = 'xmlns="http://www.hikvision.com/ver20/XMLSchema"'
INFO = f"<DeviceInfo {XMLNS}><deviceName>Gate</deviceName><deviceID>1234567890ab</deviceID></DeviceInfo>"
ALERT = f"""<EventNotificationAlert {XMLNS}>
<channelID>1</channelID>
<dateTime>2026-11-20T08:00:00+01:00</dateTime>
<activePostCount>1</activePostCount>
<eventType>VMD</eventType>
<eventState>active</eventState>
</EventNotificationAlert>
"""


class Camera(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    info_allowed = True
    streams = 0
    over = threading.Event()

    def do_GET(self):
        if not self.path.endswith("alertStream"):
            known = self.path == "/ISAPI/System/deviceInfo"
            text = INFO.encode() if known and self.info_allowed else b""
            self.send_response(200 if text else 403 if known else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        Camera.streams += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/mixed; boundary=boundary")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        part = f"--boundary\r\nContent-Type: application/xml\r\nContent-Length: {len(ALERT)}\r\n\r\n{ALERT}\r\n"
        while not self.over.wait(0.05):
            self.wfile.write(f"{len(part):x}\r\n{part}\r\n".encode())

    def log_message(self, *_):
        pass


ThreadingHTTPServer.handle_error = lambda *_: None  # a client that hangs up is no error here
threading.excepthook = lambda *_: None  # Python would print it; a service's callers see no more than this prints
server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
threading.Thread(target=server.serve_forever, daemon=True).start()
for word, Camera.info_allowed in (("given", True), ("refused", False)):
    Camera.streams = 0
    Camera.over = threading.Event()
    camera = HikCamera("http://127.0.0.1", server.server_port, "guard", "secret")
    camera.thrd.daemon = True
    camera.start_stream()
    camera.thrd.join(4)  # some 80 alerts
    state = "lives" if camera.thrd.is_alive() else "has ended"
    print(
        f"deviceInfo {word}: its thread {state}, stream_connected is {camera.stream_connected},"
        f" requests for the stream: {Camera.streams}"
    )
    camera.kill_thrd.set()
    Camera.over.set()
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
