#!/usr/bin/env bash
# A CloudEvent need not have a time (CloudEvents 1.0.2, "time": OPTIONAL; a device without a clock sends none). The
# official SDK for Python gives such an event the moment at which it is read: the reader cannot see that the sender said
# none, the same bytes read twice are two different times, and what is forwarded says so as if the source had. An event
# that waited in a queue for an hour has happened an hour later.
# Seen with cloudevents 2.2.0, Python 3.11.7:
#   sent     no time
#   read     a time, of now
#   twice    different times
#   passed on with a time
# The pump's answer: its events always have a time; where the vendor gave none it is that of the arrival, stored once, and
# `data.time_source` says "received".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
cat >"$folder/expected" <<'TEXT'
sent     no time
read     a time, of now
twice    different times
passed on with a time
TEXT
cat >"$folder/try.py" <<'PYTHON'
import json
import time
from datetime import datetime, timezone

from cloudevents.core.bindings.http import HTTPMessage, from_http, to_structured
from cloudevents.core.formats.json import JSONFormat

body = {"specversion": "1.0", "id": "1", "type": "vehicle.passed", "source": "/north/gate", "data": {"lane": 1}}
message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(body).encode())
print("sent    ", "a time" if "time" in body else "no time")
before = datetime.now(timezone.utc)
first = from_http(message, JSONFormat())
while datetime.now(timezone.utc) == before:
    time.sleep(0.001)
second = from_http(message, JSONFormat())
moment = first.get_attributes().get("time")
print("read    ", "no time" if moment is None else "a time, of now" if moment >= before else f"a time, {moment}")
print("twice   ", "the same" if moment == second.get_attributes().get("time") else "different times")
again = json.loads(to_structured(first, JSONFormat()).body)
print("passed on", "with a time" if "time" in again else "without")
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
