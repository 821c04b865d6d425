#!/usr/bin/env bash
# Build a Debian package of this tree: packaging/debian.sh FOLDER puts event-pump_VERSION_ARCH.deb there.
#
# /opt/pump is a virtual environment with everything in it, for the python3 of the Debian that builds it; beside it
# come the units, the man pages, /etc/pump/pump.toml and the completion. Wants dpkg-deb, pip and its index.
set -euo pipefail
out=$(realpath -m "$1")
cd "$(dirname "$0")/.."
python=/usr/bin/python3 # Debian's own, whatever PATH has
[ -x "$python" ] && command -v dpkg-deb >/dev/null || { echo "no Debian: no package was built" >&2; exit 77; }
pip() { ${PIP:-python3 -m pip} --python "$root/opt/pump/bin/python3" --disable-pip-version-check "$@"; }
numbers=$("$python" -c 'import sys; print(*sys.version_info[:2])')
read -r major minor <<<"$numbers"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' pump/__init__.py)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$out" "$root"/{opt,etc/pump,etc/logrotate.d,usr/bin,lib/systemd/system,DEBIAN} \
  "$root"/usr/share/{man/man1,man/man5,bash-completion/completions,doc/event-pump}

# The environment is made where it will not be run: every path of the building place is replaced afterwards.
"$python" -m venv --without-pip "$root/opt/pump"
cp -r pump pyproject.toml README.md LICENSE "$work/" # setuptools leaves its traces in the tree that it builds
pip install -q --no-compile -c constraints.txt "$work[fast,nats,pictures]"
"$root/opt/pump/bin/python" packaging/man.py "$work/man"
_PUMP_COMPLETE=bash_source "$root/opt/pump/bin/pump" >"$root/usr/share/bash-completion/completions/pump"
"$root/opt/pump/bin/python" packaging/sbom.py >"$root/usr/share/doc/event-pump/sbom.cdx.json"
rm -f "$root"/opt/pump/bin/{activate*,Activate*}
grep -rlI "$root" "$root/opt/pump" | xargs -r sed -i "s#$root##g"
find "$root" -name __pycache__ -prune -exec rm -rf {} +
# Compiled here, by the sources' hashes as dates are not kept: a first command on a full disk leaves half a compiled file
# (Python 3.11 keeps what a short write has left), and the program would not start again until somebody removed it.
"$python" -m compileall -q -j 0 --invalidation-mode checked-hash -s "$root" -p / "$root/opt/pump/lib"

ln -s /opt/pump/bin/pump "$root/usr/bin/pump"
install -m 644 systemd/pump*.service systemd/pump*.socket "$root/lib/systemd/system/"
install -m 644 pump.toml "$root/etc/pump/pump.toml"
gzip -9n <"$work/man/pump.1" >"$root/usr/share/man/man1/pump.1.gz"
gzip -9n <"$work/man/pump.toml.5" >"$root/usr/share/man/man5/pump.toml.5.gz"
gzip -9n <CHANGELOG.md >"$root/usr/share/doc/event-pump/changelog.gz"
install -m 644 LICENSE "$root/usr/share/doc/event-pump/copyright"
cp -r docs monitoring "$root/usr/share/doc/event-pump/"
cat >"$root/etc/logrotate.d/event-pump" <<'ROTATE'
# The JSON lines sink notices that its file has another name and goes on in a new one; each event is there once.
/var/log/pump/*.jsonl {
    daily
    rotate 30
    compress
    delaycompress
    missingok
    notifempty
    nocreate
}
ROTATE
printf '%s\n' /etc/pump/pump.toml /etc/logrotate.d/event-pump >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: event-pump
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: the pump developers <pump@localhost>
Depends: python3 (>= $major.$minor), python3 (<< $major.$((minor + 1)))
Suggests: logrotate, prometheus
Section: net
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f1)
Description: gathers the events of parking and security sites
 Takes events of Hikvision, AvaEye and Kinot devices and clouds, stores each
 with an fsync before it is acknowledged, and hands them on as JSON lines,
 MQTT, webhooks, SQLite and NATS JetStream.
CONTROL
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # One that runs goes on with the new version; a first installation waits for its pump.toml.
    systemctl try-restart pump.service || true
fi
[ -n "$2" ] || echo "event-pump: edit /etc/pump/pump.toml, then: pump check -c /etc/pump/pump.toml && systemctl enable --now pump"
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now pump.service || true
fi
SCRIPT
cat >"$root/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
# Events that nobody has had yet are not removed with a package.
[ "$1" != purge ] || [ ! -e /var/lib/private/pump ] || echo "event-pump: the spool stays in /var/lib/private/pump"
SCRIPT
chmod 755 "$root"/DEBIAN/p*
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz -b "$root" "$out/event-pump_${version}_$(dpkg --print-architecture).deb"
