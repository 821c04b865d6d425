#!/usr/bin/env bash
# A camera whose alertStream has neither a length nor chunks (HTTP/1.0 style, ended by closing, as many do it) is read
# by pyHik with requests' iter_lines, which hands lines on only when 512 bytes are together or the stream ends. An
# alert's tail waits in the buffer until later alerts or beats fill it: on a stream that beats seldom, a door forced at
# 08:00:00 is reported when something else happens. With chunks the same bytes are reported at once.
# Seen with pyHik 0.4.8, requests 2.32.3, urllib3 2.8.0, Python 3.11.7; an alert of 340 bytes, then 4 s of nothing, then
# a beat of as many:
#   in chunks: reported before the beat
#   without chunks: reported after the beat
# The pump's answer: pump/ingest/stream hands a part on as soon as its Content-Length or boundary is there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyhik==0.4.8 requests==2.32.3 urllib3==2.8.0
cat >"$folder/expected" <<'TEXT'
in chunks: reported before the beat
without chunks: reported after the beat
TEXT
cat >"$folder/try.py" <<'PYTHON'
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pyhik.hikvision import HikCamera

XMLNS = 'xmlns="http://www.hikvision.com/ver20/XMLSchema"'
INFO = f"<DeviceInfo {XMLNS}><deviceName>Door</deviceName><deviceID>1234567890ab</deviceID></DeviceInfo>"
TRIGGERS = f"""<EventNotification {XMLNS}><EventTriggerList><EventTrigger><id>IO-1</id><eventType>IO</eventType>
<inputIOPortID>1</inputIOPortID><EventTriggerNotificationList><EventTriggerNotification>
<id>center</id><notificationMethod>center</notificationMethod></EventTriggerNotification>
</EventTriggerNotificationList></EventTrigger></EventTriggerList></EventNotification>"""
ALERT = "\r\n".join(
    [
        f"<EventNotificationAlert {XMLNS}>",
        "<channelID>1</channelID>",
        "<dateTime>2026-11-20T08:00:00+01:00</dateTime>",
        "<activePostCount>1</activePostCount>",
        "<eventType>IO</eventType>",
        "<eventState>active</eventState>",
        "</EventNotificationAlert>",
    ]
)
beat, end = threading.Event(), threading.Event()


class Camera(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chunks = True

    def do_GET(self):
        if self.path.endswith("alertStream"):
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "multipart/mixed; boundary=boundary")
            self.send_header(*(("Transfer-Encoding", "chunked") if self.chunks else ("Connection", "close")))
            self.end_headers()
            self.part(ALERT)
            beat.wait(20)
            self.part(ALERT.replace(">IO<", ">videoloss<").replace(">active", ">inactive"))
            end.wait(20)
            return
        text = {"/ISAPI/System/deviceInfo": INFO, "/ISAPI/Event/triggers": TRIGGERS}.get(self.path, "").encode()
        self.send_response(200 if text else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def part(self, text):
        part = f"--boundary\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n\r\n{text}\r\n"
        self.wfile.write((f"{len(part):x}\r\n{part}\r\n" if self.chunks else part).encode())

    def log_message(self, *_):
        pass


def reported(camera, seconds):
    until = time.monotonic() + seconds
    while not camera.event_states["I/O"][0][2] and time.monotonic() < until:
        time.sleep(0.05)
    return bool(camera.event_states["I/O"][0][2])  # how often the device has posted it, as pyHik keeps it


ThreadingHTTPServer.handle_error = lambda *_: None  # a client that hangs up is no error here
server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
threading.Thread(target=server.serve_forever, daemon=True).start()
for Camera.chunks in (True, False):
    beat.clear()
    end.clear()
    camera = HikCamera("http://127.0.0.1", server.server_port, "admin", "secret")
    camera.thrd.daemon = True
    camera.start_stream()
    before = reported(camera, 4)
    beat.set()
    after = reported(camera, 4)
    when = "before the beat" if before else "after the beat" if after else "never"
    print(f"{'in chunks' if Camera.chunks else 'without chunks'}: reported {when}")
    camera.kill_thrd.set()
    end.set()
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
