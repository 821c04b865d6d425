#!/usr/bin/env bash
# Run a script from standard input in a throw-away copy of this machine's root: packaging/root.sh [NAME=VALUE…] [FILE…].
#
# The copy is an overlay over / in a mount namespace of its own: nothing of it is left. The files lie in its /tmp, its
# home is empty, and the environment is the names given and PATH. Wants root and a kernel that lets it make one; 77
# where it does not.
set -euo pipefail
unshare -m true 2>/dev/null || { echo "no mount namespace may be made here: nothing was tried" >&2; exit 77; }
script=$(mktemp)
trap 'rm -f "$script"' EXIT
cat >"$script"
unshare -m --pid --fork --kill-child --mount-proc bash -euo pipefail -s "$script" "$@" <<'INSIDE'
here=$(mktemp -d)
mount -t tmpfs none "$here"
mkdir "$here"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" "$here/root" ||
  { echo "no overlay may be mounted here: nothing was tried" >&2; exit 77; }
mount -t proc proc "$here/root/proc"
mount --bind /dev "$here/root/dev"
mount -t tmpfs none "$here/root/tmp"
cp "$1" "$here/root/tmp/script"
shift
names=()
for each in "$@"; do
  case $each in
    *=*) names+=("$each") ;;
    *) cp -r "$each" "$here/root/tmp/" ;;
  esac
done
mkdir "$here/root/tmp/home"
env -i HOME=/tmp/home PATH=/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  ${names[@]+"${names[@]}"} chroot "$here/root" bash -euo pipefail -c 'cd /; exec bash -euo pipefail /tmp/script'
INSIDE
