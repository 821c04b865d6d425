"""The audit of what a pump consists of: `audit.py [PIP-AUDIT]`, run by the Python that the pump is installed for.

Each distribution that it needs must be pinned in hashes.txt, installed in that version, and unchanged since. Where the
index answers, what it has must have the pinned digests. Where PIP-AUDIT, the command of the package pip-audit, is given
and its advisory service answers, no advisory may be known. Says which of the three were done. Exit status: 0 fine, 1
something was changed or is not pinned, 2 an advisory is known.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata as metadata
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_SBOM: Final = runpy.run_path(str(Path(__file__).with_name("sbom.py")))
HASHES: Final[Path] = _SBOM["HASHES"]
PATIENCE: Final = 60
"""Seconds for the index, and for the advisory service."""


def differing(hashes: Path = HASHES) -> Iterator[str]:
    """What is not as it was pinned, or not as it was installed."""
    pins: dict[str, tuple[str, list[str]]] = _SBOM["pinned"](hashes)
    for name in _SBOM["needed"]():
        if name == _SBOM["ROOT"]:
            continue
        distribution = metadata.distribution(name)
        if name not in pins:
            yield f"{name} {distribution.version} is installed and not pinned"
        elif pins[name][0] != distribution.version:
            yield f"{name} {distribution.version} is installed, {pins[name][0]} is pinned"
        yield from _changed(distribution)


def _changed(distribution: metadata.Distribution) -> Iterator[str]:
    for file in distribution.files or ():
        if file.hash is None or file.hash.mode != "sha256" or file.parts[0] == "..":
            continue  # a command's first line is the installer's
        path = Path(str(file.locate()))
        found = hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != file.hash.value:
            yield f"{distribution.name}: {file} is not as it was installed"


def served(hashes: Path = HASHES) -> str:
    """The empty text where the index has what is pinned, else pip's words. LookupError: it cannot be asked."""
    command = [
        sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--no-deps",
        "--require-hashes", "--prefer-binary", "--disable-pip-version-check", "-r", str(hashes),
    ]  # fmt: skip
    done = _run(command)
    if done.returncode == 0:
        return ""
    if "DO NOT MATCH THE HASHES" in done.stderr:
        return done.stderr.strip()
    raise LookupError(_last(done.stderr))


def advisories(command: str, hashes: Path = HASHES) -> list[str]:
    """Each known advisory of a pinned version. LookupError: the service cannot be asked."""
    done = _run([command, "--disable-pip", "--progress-spinner", "off", "-f", "json", "-r", str(hashes)])
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise LookupError(_last(done.stderr)) from None
    if unknown := [each["name"] for each in found if "skip_reason" in each]:
        raise LookupError(f"the service does not know {len(unknown)} of {len(found)}, such as {unknown[0]}")
    return [
        f"{each['name']} {each['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for each in found
        for known in each["vulns"]
    ]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LookupError(
            f"no answer within {PATIENCE} s" if isinstance(error, subprocess.TimeoutExpired) else error
        ) from None


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]


def main(arguments: list[str]) -> int:
    """Do all three, print what came of each."""
    wrong = list(differing())
    print("\n".join(wrong) or "installed: every distribution is pinned and as it was installed")
    try:
        if changed := served():
            wrong.append(changed)
        print(changed or "index: what it has is what is pinned")
    except LookupError as error:
        print(f"index: NOT ASKED: {error}")
    known: list[str] = []
    if arguments:
        try:
            known = advisories(arguments[0])
            print("\n".join(known) or "advisories: none is known")
        except LookupError as error:
            print(f"advisories: NOT ASKED: {error}")
    else:
        print("advisories: NOT ASKED: pip-audit is not here")
    return 1 if wrong else 2 if known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
