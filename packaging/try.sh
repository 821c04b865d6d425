#!/usr/bin/env bash
# Install the Debian package in a throw-away copy of this machine's root and have it take an event: packaging/try.sh DEB.
#
# The copy is an overlay over / in a mount namespace of its own: nothing of it is left. Wants root, and a kernel that
# lets it make one; 77 where it does not.
set -euo pipefail
deb=$(realpath "$1")
unshare -m true 2>/dev/null || { echo "no mount namespace may be made here: the package was not tried" >&2; exit 77; }
exec unshare -m --pid --fork --mount-proc bash -euo pipefail -s "$deb" <<'INSIDE'
here=$(mktemp -d)
mount -t tmpfs none "$here"
mkdir "$here"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" "$here/root" ||
  { echo "no overlay may be mounted here: the package was not tried" >&2; exit 77; }
mount -t proc proc "$here/root/proc"
mount --bind /dev "$here/root/dev"
mount -t tmpfs none "$here/root/tmp"
cp "$1" "$here/root/tmp/pump.deb"
env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 chroot "$here/root" bash -euo pipefail <<'ROOT'
cd /
dpkg -i /tmp/pump.deb
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
[ ! -e /opt/pump/bin/pump ]
ls /var/lib/pump/spool.db
echo "the package installs, runs, takes an event, stops and goes away; its spool stays"
ROOT
INSIDE
