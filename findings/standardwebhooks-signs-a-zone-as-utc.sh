#!/usr/bin/env bash
# The reference library of Standard Webhooks takes the moment to sign as a datetime and puts UTC in the place of its
# zone, without converting: an aware time of Paris is signed as one or two hours later. Who sends the second that the
# moment really is beside it (the specification's webhook-timestamp) is refused by every receiver, the same library's
# included, everywhere but where the zone is UTC: it passes in CI and fails on site.
# Seen with standardwebhooks 1.1.0, Python 3.11.7; the same moment in three zones:
#   UTC: taken
#   Europe/Paris: No matching signature found
#   Asia/Shanghai: No matching signature found
# The pump's answer: pump/sinks/webhook signs the text of the header that it sends.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0 tzdata
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from standardwebhooks import Webhook, WebhookVerificationError

hook = Webhook("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
now = datetime.now(timezone.utc)
body = '{"type":"gate.opened"}'
for zone in ("UTC", "Europe/Paris", "Asia/Shanghai"):
    signature = hook.sign("event-1", now.astimezone(ZoneInfo(zone)), body)
    headers = {
        "webhook-id": "event-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    try:
        hook.verify(body, headers)
        print(f"{zone}: taken")
    except WebhookVerificationError as refusal:
        print(f"{zone}: {refusal}")
PYTHON
"$folder/env/bin/python" "$folder/try.py" >"$folder/seen"
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
