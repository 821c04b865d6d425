#!/usr/bin/env bash
# The official CloudEvents SDK for Python, in binary mode, writes an event's data as JSON only where it is a dict. A list
# (all bays of a car park), a truth or a number goes out as what str() makes of it, under the content type
# "application/json": single quotes, True, None. A receiver's JSON parser refuses it, and the SDK itself reads a text back
# instead of the list, without an error. CloudEvents 1.0.2 (HTTP binding, 3.1.2) has the data "as the media type says", and
# RFC 8259 lets any value be a JSON text. In structured mode the same event is right.
# Seen with cloudevents 2.2.0, Python 3.11.7:
#   structured  [{"bay": "A1", "free": true}]
#   binary      [{'bay': 'A1', 'free': True}]
#   read again  str
# The pump's answer: it writes structured mode alone (docs/sinks.md), and an event's data is always an object.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
cat >"$folder/expected" <<'TEXT'
structured  [{"bay": "A1", "free": true}]
binary      [{'bay': 'A1', 'free': True}]
read again  str
TEXT
cat >"$folder/try.py" <<'PYTHON'
import json

from cloudevents.core.bindings.http import from_http, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

head = {"id": "1", "type": "lot.bays", "source": "/north", "specversion": "1.0", "datacontenttype": "application/json"}
event = CloudEvent(head, [{"bay": "A1", "free": True}])
print("structured ", json.dumps(json.loads(to_structured(event, JSONFormat()).body)["data"]))
message = to_binary(event, JSONFormat())
assert message.headers["content-type"] == "application/json"
print("binary     ", message.body.decode())
print("read again ", type(from_http(message, JSONFormat()).get_data()).__name__)
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
