#!/usr/bin/env bash
# The suite on other days: pytest once for each date under Debian's faketime, a row a date, 1 when any of them failed.
#
#   tests/any_day.sh                                  the whole suite on every date of the list below
#   tests/any_day.sh tests/unit/spool -x              a folder; what is no date goes to pytest
#   tests/any_day.sh '2031-06-01 00:00:00' tests/e2e  dates of one's own, in UTC ("today" is one), before pytest's words
#
# PYTHON names the interpreter, LOGS a folder for pytest's output, which stays there. Not part of the normal run: it
# takes as long as six of them.
set -euo pipefail
cd "$(dirname "$0")/.."

dates=("today" "2026-12-31 23:58:00" "2027-03-28 00:58:00" "2027-03-28 00:58:00 Europe/Paris" "2028-02-29 12:00:00"
       "2031-06-01 00:00:00" "2037-12-31 00:00:00")
python=${PYTHON:-.venv/bin/python}
logs=${LOGS:-$(mktemp -d)}
mkdir -p "$logs"

own=()
while [[ ${1-} =~ ^(today|[0-9]{4}-[0-9]{2}-[0-9]{2})( |$) ]]; do own+=("$1"); shift; done
((${#own[@]})) && dates=("${own[@]}")

# The library is preloaded as the wrapper does it, but without the wrapper's semaphore, which all processes would share:
# the tests kill theirs at any moment, and one that held it would stop the others for ever.
library=$(faketime -m -f +0 sh -c 'echo "$LD_PRELOAD"') || { echo "no faketime: apt-get install faketime" >&2; exit 2; }

# The library counts a sleep until a monotonic moment from its own faked start, faked or not (0.9.10): Python's sleep
# is then refused with EINVAL. Each Python process gets one that needs no moment.
patch=$(mktemp -d)
# A folder of its own for the tests' files: pytest takes what a run of today begins for days old, and removes it. Its name
# is short, for sockets lie in it, whose addresses have 108 bytes.
PYTEST_DEBUG_TEMPROOT=$(mktemp -d /tmp/XXX)
export PYTEST_DEBUG_TEMPROOT
trap 'rm -rf "$patch" "$PYTEST_DEBUG_TEMPROOT"' EXIT
cat >"$patch/sitecustomize.py" <<'PYTHON'
import select
import time


def sleep(seconds, /):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


time.sleep = sleep
PYTHON

counted() { grep -oE "[0-9]+ $1" <<<"$2" | cut -d' ' -f1; }

failed_dates=0
printf '%-34s %8s %8s %8s\n' date passed failed seconds
for date in "${dates[@]}"; do
  zone=UTC moment=$date
  if [[ $date =~ ^(.*)\ ([A-Z][A-Za-z]+/[A-Za-z_]+)$ ]]; then moment=${BASH_REMATCH[1]} zone=${BASH_REMATCH[2]}; fi
  # As a distance from now, for then the clock goes on ticking, and a process started later does not begin at the
  # start again. Python's monotonic clock and all waits stay real; the library's own mending of waits on conditions,
  # which this glibc does not need, would make each change of threads cost a millisecond.
  distance=0
  [ "$moment" = today ] || distance=$(($(date -u -d "$moment" +%s) - $(date +%s)))
  log=$logs/${date//[^0-9A-Za-z]/-}.log
  begun=$SECONDS code=0
  env TZ="$zone" LD_PRELOAD="$library" FAKETIME="$(printf '%+ds' "$distance")" \
    FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME_FORCE_MONOTONIC_FIX=0 \
    PYTHONPATH="$patch${PYTHONPATH:+:$PYTHONPATH}" \
    "$python" -m pytest -q "$@" >"$log" 2>&1 || code=$?
  last=$(grep -E '^(=+ )?([0-9]+ [a-z]+, )*[0-9]+ [a-z]+ in [0-9.]+s' "$log" | tail -1 || true)
  passed=$(counted passed "$last" || true) failed=$(counted failed "$last" || true)
  errors=$(counted 'errors?' "$last" || true)
  printf '%-34s %8s %8s %8s' "$date" "${passed:-0}" "$((${failed:-0} + ${errors:-0}))" "$((SECONDS - begun))"
  if ((code)); then
    failed_dates=$((failed_dates + 1))
    printf '   pytest ended with %s, see %s' "$code" "$log"
  fi
  printf '\n'
done
((failed_dates == 0))
