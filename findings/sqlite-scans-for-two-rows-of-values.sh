#!/usr/bin/env bash
# SQLite 3.40.1, which Debian 12 has and its Python uses, looks several rows up by their whole primary key with
# (time, source, id) IN (VALUES ...) as long as it is one row; from the second row on it reads the whole table. 3.45
# searches by the key's first column alone, which is as bad where all rows share it; 3.54 by the whole key. A join with
# the same rows is a search by the whole key in each of them.
# Seen with apsw 3.40.1.0, 3.45.3.0 and 3.54.1.0 (the same SQLite), Python 3.11.7; what the plan says of the table:
#   3.40.1, one row: SEARCH (time=?)
#   3.40.1, two rows: SCAN
#   3.40.1, two rows joined: SEARCH (time=? AND source=? AND id=?)
#   3.45.3, one row: SEARCH (time=?)
#   3.45.3, two rows: SEARCH (time=?)
#   3.45.3, two rows joined: SEARCH (time=? AND source=? AND id=?)
#   3.54.1, one row: SEARCH (time=? AND source=? AND id=?)
#   3.54.1, two rows: SEARCH (time=? AND source=? AND id=?)
#   3.54.1, two rows joined: SEARCH (time=? AND source=? AND id=?)
# The pump's answer: pump/spool/statements.py and pump/spool/gaps/sightings.py join; tests/unit/spool/test_lookups.py
# counts the steps of each look-up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
sed -n 's/^#   //p' "$0" >"$folder/expected"
cat >"$folder/try.py" <<'PYTHON'
import apsw

ROWS = "VALUES (7, 'gate', 'e7'), (9, 'gate', 'e9')"
QUESTIONS = {
    "one row": "SELECT seq FROM keys WHERE (time, source, id) IN (VALUES (7, 'gate', 'e7'))",
    "two rows": f"SELECT seq FROM keys WHERE (time, source, id) IN ({ROWS})",
    "two rows joined": f"WITH w(time, source, id) AS ({ROWS}) SELECT seq FROM w CROSS JOIN keys USING (time, source, id)",
}
db = apsw.Connection(":memory:").cursor()
db.execute(
    "CREATE TABLE keys(time INTEGER, source TEXT, id TEXT, seq INTEGER, PRIMARY KEY (time, source, id)) WITHOUT ROWID"
)
(version,) = next(iter(db.execute("SELECT sqlite_version()")))
for name, question in QUESTIONS.items():
    (step,) = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {question}") if "keys" in row[3]]
    print(f"{version}, {name}: {step.replace(' keys', '').replace(' USING PRIMARY KEY', '')}")
PYTHON
for version in 3.40.1.0 3.45.3.0 3.54.1.0; do
  "$folder/env/bin/pip" install --quiet --disable-pip-version-check "apsw==$version"
  "$folder/env/bin/python" "$folder/try.py" >>"$folder/seen"
done
cat "$folder/seen"
diff "$folder/expected" "$folder/seen" && echo "as it was found"
