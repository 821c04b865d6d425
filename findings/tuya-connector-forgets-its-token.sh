#!/usr/bin/env bash
# Tuya's own Python client renews its token a minute before it expires, and empties the one it has before it asks for
# the next. When the cloud does not give one (busy, a limit of calls; "success": false with HTTP 200, as Tuya answers
# every refusal), the client takes the refusal for a token: empty, valid since 1970. From then on it believes not to be
# connected, renews nothing, and calls go out without a token, also when the cloud has long been well. Only an answer
# with code 1010 to such a call has it log in again; here the cloud answers 1004, "sign invalid".
# Seen with tuya-connector-python 0.1.2, requests 2.34.2, Python 3.11.7; a token of an hour, renewed as it expires:
#   call 1: with a token
#   the renewal is refused once
#   call 2: without a token
#   call 3: without a token
#   renewals asked for afterwards: 0
# The pump's answer: pump/sinks/tuya asks for a token afresh at each refusal, and a refusal never takes the place of one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check tuya-connector-python==0.1.2 requests==2.34.2
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tuya_connector import TuyaOpenAPI

calls, renewals = [], []
TOKEN = {"access_token": "token", "refresh_token": "renewal", "expire_time": 3600, "uid": "one"}
BUSY = {"success": False, "code": 500, "msg": "system error, please contact the admin"}


class Cloud(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = {"success": True, "result": {}}
        if self.path == "/v1.0/token?grant_type=1":
            answer["result"] = TOKEN
        elif self.path.startswith("/v1.0/token/"):
            renewals.append(self.path)
            answer = BUSY if len(renewals) == 1 else {"success": True, "result": TOKEN}
        else:
            calls.append(self.headers["access_token"])
            if not calls[-1]:  # 1004: the signature, made without a token, is not that of this call
                answer = {"success": False, "code": 1004, "msg": "sign invalid"}
        body = json.dumps({"t": int(time.time() * 1000), **answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = TuyaOpenAPI("http://127.0.0.1:%d" % server.server_port, "an id", "a secret")
client.connect()
for number in (1, 2, 3):
    if number == 2:
        client.token_info.expire_time = int(time.time() * 1000)  # the hour is over
    client.get("/v1.0/devices/lot/status")
    if number == 2:
        print("the renewal is refused once")
    print(f"call {number}:", "with a token" if calls[-1] else "without a token")
print("renewals asked for afterwards:", len(renewals) - 1)
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
