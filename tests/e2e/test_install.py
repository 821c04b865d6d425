"""The steps of docs/install.md, as they stand there: a folder, the sample configuration, a simulated camera, a daemon.

Here with the installed pump; from nothing, in a Debian's root of its own, by `packaging/try_steps.sh`, which .ci/run
starts where there is time.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.environ import BARE

_ROOT: Final = Path(__file__).parents[2]
_DOCUMENT: Final = _ROOT / "docs" / "install.md"
_STEPS: Final[dict[str, str]] = runpy.run_path(str(_ROOT / "packaging/steps.py"))["steps"](_DOCUMENT)
ALONE: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child")
"""A network of its own, whose ports are those of the document, and mounts; with the first process all others end."""
LOOPBACK: Final = """\
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))
"""
_HEALTH: Final = """\
import urllib.request
for path in ("healthz", "readyz"):
    print(urllib.request.urlopen("http://127.0.0.1:9090/" + path).read().decode().strip())
"""


@cache
def may_be_alone() -> bool:
    """Whether this machine lets a process have a network of its own."""
    command = [*ALONE, sys.executable, "-c", LOOPBACK]
    return (
        shutil.which(ALONE[0]) is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.shows_secrets
@pytest.mark.timeout(300)
def test_the_first_steps_give_a_running_daemon_its_lines_and_its_health(tmp_path: Path) -> None:
    if not may_be_alone():
        pytest.skip("no network of its own may be made here")
    script = (
        f"set -euo pipefail\npython -c '{LOOPBACK}'\n{_STEPS['first']}"
        f"echo BEHIND IT\npython -c '{_HEALTH}'\nkill %1 %2\nwait %2\n"
    )
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        cwd=_ROOT, env={**BARE, "HOME": str(tmp_path), "PATH": f"{Path(sys.prefix) / 'bin'}:{BARE['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    steps, _, health = done.stdout.partition("BEHIND IT\n")
    assert re.search(r"^source camera +up", steps, re.MULTILINE)
    assert [json.loads(answer)["ok"] for answer in health.splitlines()] == [True, True]
    lines = [json.loads(line) for line in (tmp_path / "site/events.jsonl").read_text().splitlines()]
    assert {line["source"] for line in lines} >= {"/site/pump", "/site/camera"}
    assert len({(line["source"], line["id"]) for line in lines}) == len(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_every_step_is_a_script_and_every_mark_is_run_by_somebody() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert set(_STEPS) == {"venv", "pipx", "first"}
    for block in blocks:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_small_site_of_the_document_is_fine(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "door-password").write_text("Secret-1")
    config = tmp_path / "pump.toml"
    config.write_text(example.replace("/var/log/pump", str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-m", "pump", "check", "-c", config],
        env={**BARE, "CREDENTIALS_DIRECTORY": str(tmp_path)}, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "2 sources: gate (avaeye), door (hik-camera)" in done.stdout, done.stderr
