#!/usr/bin/env bash
# SQLite copies each page that an INSERT of several rows changes into a temporary file before it changes it, for a later
# row may fail and the statement must then be undone by itself. Where the keys are in no order (ids that are digests or
# UUIDs), one statement for 500 rows, as it is recommended for speed, so writes about as much again as its commit does.
# OR IGNORE needs no copy, for no row of it can fail, and neither do 500 statements of one row. OR REPLACE does.
# Seen with apsw 3.40.1.0 (Debian 12's SQLite) and 3.54.1.0, Python 3.11.7; 500 of 100,000 rows, pages of 16 KiB, WAL:
#   3.40.1, INSERT of 500 rows: before its commit it writes as much as by it
#   3.40.1, INSERT OR REPLACE of 500 rows: before its commit it writes as much as by it
#   3.40.1, INSERT OR IGNORE of 500 rows: before its commit it writes nothing
#   3.40.1, 500 times INSERT of one row: before its commit it writes nothing
#   3.54.1, INSERT of 500 rows: before its commit it writes as much as by it
#   3.54.1, INSERT OR REPLACE of 500 rows: before its commit it writes as much as by it
#   3.54.1, INSERT OR IGNORE of 500 rows: before its commit it writes nothing
#   3.54.1, 500 times INSERT of one row: before its commit it writes nothing
# The pump's answer: its keys, sightings and links are stored by INSERT OR IGNORE, by statements of many rows (each takes
# the interpreter anew), with the copies of what else there is in memory (temp_store=MEMORY, pump/spool/connection.py);
# tests/unit/spool/test_fetches.py has links stored by one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import hashlib
import sys
from pathlib import Path

import apsw

WAYS = {
    "INSERT of 500 rows": "INSERT",
    "INSERT OR REPLACE of 500 rows": "INSERT OR REPLACE",
    "INSERT OR IGNORE of 500 rows": "INSERT OR IGNORE",
    "500 times INSERT of one row": "",
}


def written():
    return int(Path("/proc/self/io").read_text().partition("wchar: ")[2].split()[0])


def rows(first, count):
    return [(hashlib.md5(str(number).encode()).hexdigest(), number) for number in range(first, first + count)]


db = apsw.Connection(f"{sys.argv[1]}/{apsw.sqlitelibversion()}.db").cursor()
for setting in ("page_size=16384", "journal_mode=WAL", "cache_size=-65536", "temp_store=FILE"):
    list(db.execute(f"PRAGMA {setting}"))
db.execute("CREATE TABLE keys(id TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID")
db.execute("BEGIN")
db.executemany("INSERT INTO keys VALUES (?, ?)", rows(0, 100_000))
db.execute("COMMIT")
for place, (name, word) in enumerate(WAYS.items()):
    new = rows(100_000 + 500 * place, 500)
    db.execute("BEGIN IMMEDIATE")
    begun = written()
    if word:
        values = [value for row in new for value in row]
        db.execute(f"{word} INTO keys VALUES {','.join(['(?, ?)'] * 500)}", values)
    else:
        db.executemany("INSERT INTO keys VALUES (?, ?)", new)
    stated = written()
    db.execute("COMMIT")
    before, by_commit = stated - begun, written() - stated
    said = "nothing" if before < by_commit / 100 else "as much as by it" if before > by_commit * 0.8 else f"{before} bytes"
    print(f"{apsw.sqlitelibversion()}, {name}: before its commit it writes {said}")
PYTHON
for version in 3.40.1.0 3.54.1.0; do
  "$folder/env/bin/pip" install --quiet --disable-pip-version-check "apsw==$version"
  "$folder/env/bin/python" "$folder/try.py" "$folder" >>"$folder/seen" 2>"$folder/log" || { cat "$folder/log"; exit 1; }
done
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
