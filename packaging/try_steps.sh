#!/usr/bin/env bash
# Run the steps of docs/install.md as they stand there in a throw-away copy of this machine's root, with an empty home:
# packaging/try_steps.sh [venv|pipx]. 77 where this machine cannot (packaging/root.sh).
#
# The network's ports are its own while the daemon runs, so that those of the document are free. Left out: what wants a
# running systemd, and apt, whose packages the machine must have.
set -euo pipefail
way=${1:-venv}
cd "$(dirname "$0")/.."
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/pump"
cp -r pump packaging docs monitoring systemd pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md pump.toml "$tree/pump/"
find "$tree/pump" -name __pycache__ -prune -exec rm -rf {} +
# The way to the machine's package index, and what it has of it already, are no part of the home.
index=(PIP_CACHE_DIR="$(python3 -m pip cache dir 2>/dev/null || echo ~/.cache/pip)" PIP_DISABLE_PIP_VERSION_CHECK=1 WAY="$way")
[ ! -r "${PIP_CONFIG_FILE:=$HOME/.config/pip/pip.conf}" ] || index+=(PIP_CONFIG_FILE="$PIP_CONFIG_FILE")
while read -r name; do index+=("$name=${!name}"); done < <(compgen -e | grep -E '^(PIP_(EXTRA_)?INDEX|PIP_FIND|PIP_CERT|PIP_TRUSTED|https?_proxy|HTTPS?_PROXY|SSL_CERT)' || true)
packaging/root.sh "${index[@]}" "$tree/pump" <<'ROOT'
cd /tmp/pump
python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  { echo "no Python 3.11 with venv is here (python3-venv): the steps were not tried" >&2; exit 77; }
steps() { python3 packaging/steps.py docs/install.md "$@"; }
if [ "$WAY" = pipx ] && ! command -v pipx >/dev/null; then
  { timeout 60 apt-get install -y -qq --no-install-recommends pipx ||
    { timeout 60 apt-get update -qq && timeout 120 apt-get install -y -qq --no-install-recommends pipx; }; } >/dev/null 2>&1 ||
    { echo "pipx is not here and cannot be installed: its steps were not tried" >&2; exit 77; }
fi
rm -f /usr/local/bin/pump
steps "$WAY" >/tmp/install.sh
steps first >/tmp/first.sh
. /tmp/install.sh
unshare -n bash -euo pipefail <<'RUN'
python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))'
. /tmp/first.sh >/tmp/said
cat /tmp/said
grep -q '^source camera *up' /tmp/said
python3 -c '
import urllib.request
for path in ("healthz", "readyz"):
    print(path, urllib.request.urlopen("http://127.0.0.1:9090/" + path, timeout=10).read().decode().strip())'
tail -n 1 events.jsonl | python3 -m json.tool >/dev/null
kill %1 %2
wait %2
RUN
echo "the steps of docs/install.md ($WAY) give a running daemon, its JSON lines and its health"
ROOT
