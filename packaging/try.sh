#!/usr/bin/env bash
# Install the Debian package in a throw-away copy of this machine's root and have it take an event: packaging/try.sh DEB.
# 77 where this machine cannot (packaging/root.sh).
set -euo pipefail
deb=$(realpath "$1")
cd "$(dirname "$0")"
exec ./root.sh "$deb" <<'ROOT'
dpkg -i /tmp/*.deb
pump --version
man -w pump pump.toml
read -r ops push < <(python3 -c '
import socket
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in free))')
cat >/etc/pump/pump.toml <<TOML
[pump]
site = "try"
state_dir = "/var/lib/pump"
[ops]
listen = "127.0.0.1:$ops"
[server]
listen = "127.0.0.1:$push"
[sources.gate]
type = "avaeye"
[sinks.out]
type = "jsonl"
path = "/var/log/pump/events.jsonl"
TOML
mkdir -p /var/log/pump
pump check -c /etc/pump/pump.toml
pump run -c /etc/pump/pump.toml &
daemon=$!
asked() { python3 - "$@" <<'PYTHON'
import sys, urllib.request
address, *body = sys.argv[1:]
data = body[0].encode() if body else None
request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).read().decode())
PYTHON
}
until asked "http://127.0.0.1:$ops/readyz" 2>/dev/null; do kill -0 $daemon; sleep 0.2; done
asked "http://127.0.0.1:$push/api/upark/capture" '{"path":"/api/upark/capture","params":{"parkId":"10000","deviceId":"1001","recordId":"r1","plateNo":"A12345","captureTime":"'"$(date -u '+%F %T')"'"}}'
pump status -c /etc/pump/pump.toml
until grep -q '"recordId":"r1"' /var/log/pump/events.jsonl; do kill -0 $daemon; sleep 0.2; done
kill $daemon
wait $daemon
dpkg -r event-pump
[ ! -e /opt/pump ] # nothing was written there beside what the package brought
ls /var/lib/pump/spool.db
echo "the package installs, runs, takes an event, stops and goes away; its spool stays"
ROOT
