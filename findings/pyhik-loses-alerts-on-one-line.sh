#!/usr/bin/env bash
# pyHik reads a camera's alertStream line by line and looks for the end of an alert only in lines that hold no beginning
# of one. An EventNotificationAlert that a device writes without line breaks (any XML writer that does not indent) is
# therefore never reported, and the beginning that it leaves behind is dropped with the next alert: no error, no log.
# Seen with pyHik 0.4.8, requests 2.32.3, Python 3.11.7; the camera says "active" in both:
#   indented: Motion active
#   on one line: Motion not active
# The pump's answer: pump/ingest/stream reads parts by boundary and length and gives each one whole to a parser;
# tests/unit/vendors/hik_camera/test_kinds.py has every kind of alert on one line.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pyhik==0.4.8 requests==2.32.3
cat >"$folder/expected" <<'TEXT'
indented: Motion active
on one line: Motion not active
TEXT
cat >"$folder/try.py" <<'PYTHON'
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pyhik.hikvision import HikCamera

XMLNS = 'xmlns="http://www.hikvision.com/ver20/XMLSchema"'
INFO = f"<DeviceInfo {XMLNS}><deviceName>Gate</deviceName><deviceID>1234567890ab</deviceID></DeviceInfo>"
TRIGGERS = f"""<EventNotification {XMLNS}><EventTriggerList><EventTrigger><id>VMD-1</id><eventType>VMD</eventType>
<videoInputChannelID>1</videoInputChannelID><EventTriggerNotificationList><EventTriggerNotification>
<id>center</id><notificationMethod>center</notificationMethod></EventTriggerNotification>
</EventTriggerNotificationList></EventTrigger></EventTriggerList></EventNotification>"""
FIELDS = [
    f"<EventNotificationAlert {XMLNS}>",
    "<channelID>1</channelID>",
    "<dateTime>2026-11-20T08:00:00+01:00</dateTime>",
    "<activePostCount>1</activePostCount>",
    "<eventType>VMD</eventType>",
    "<eventState>active</eventState>",
    "</EventNotificationAlert>",
]
FORMS = {"indented": "\r\n".join(FIELDS), "on one line": "".join(FIELDS)}
done = threading.Event()


class Camera(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    form = ""

    def do_GET(self):
        if self.path.endswith("alertStream"):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/mixed; boundary=boundary")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            alert = FORMS[self.form]
            # A beat after it, as cameras send them all the time: whatever waits for more bytes has them.
            for text in (alert, alert.replace("VMD", "videoloss").replace(">active", ">inactive")):
                part = f"--boundary\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n\r\n{text}\r\n"
                self.wfile.write(f"{len(part):x}\r\n{part}\r\n".encode())
            self.wfile.flush()
            done.wait(10)
            self.wfile.write(b"0\r\n\r\n")
            return
        text = {"/ISAPI/System/deviceInfo": INFO, "/ISAPI/Event/triggers": TRIGGERS}.get(self.path, "").encode()
        self.send_response(200 if text else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.handle_error = lambda *_: None  # a client that hangs up is no error here
server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
threading.Thread(target=server.serve_forever, daemon=True).start()
for form in FORMS:
    Camera.form = form
    done.clear()
    camera = HikCamera("http://127.0.0.1", server.server_port, "admin", "secret")
    camera.thrd.daemon = True
    camera.start_stream()
    until = time.monotonic() + 4
    while not camera.event_states["Motion"][0][0] and time.monotonic() < until:
        time.sleep(0.05)
    print(f"{form}: Motion {'active' if camera.event_states['Motion'][0][0] else 'not active'}")
    camera.kill_thrd.set()
    done.set()
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
