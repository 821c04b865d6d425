"""The bill of materials of an installed pump, as CycloneDX 1.6: run by its own Python, `sbom.py` prints it.

It names event-pump, each distribution that it needs with the extras given (default: those of docs/install.md) and that
is installed, their versions, licences and dependencies. The digests of their files stand in `packaging/hashes.txt`.
"""

from __future__ import annotations

import importlib.metadata as metadata
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = "event-pump"
EXTRAS: Final = ("fast", "nats", "pictures")
HASHES: Final = Path(__file__).with_name("hashes.txt")
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?[^;]*(?:;(.*))?", re.DOTALL)
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)((?:\s+--hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)


def plain(name: str) -> str:
    """A distribution's name as all its spellings compare (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(extras: Sequence[str] = EXTRAS) -> dict[str, list[str]]:
    """Each distribution in use, with those that it needs in its turn; the pump first. Those not installed are left out.

    Markers but for extras are not computed: what a marker excludes is not installed.
    """
    found: dict[str, list[str]] = {}
    asked: dict[str, set[str]] = {}
    waiting = [(ROOT, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop(0)
        if name in found and wanted <= asked[name]:
            continue
        asked.setdefault(name, set()).update(wanted)
        try:
            requirements = list(_requirements(metadata.distribution(name), asked[name]))
        except metadata.PackageNotFoundError:
            continue
        found[name] = sorted({each for each, _ in requirements})
        waiting += requirements
    return {name: [each for each in names if each in found] for name, names in found.items()}


def _requirements(distribution: metadata.Distribution, extras: set[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in distribution.requires or ():
        match = _REQUIREMENT.match(text)
        assert match is not None, text
        name, inner, marker = match.groups()
        of = re.findall(r"""extra\s*==\s*['"]([^'"]+)""", marker or "")
        if not of or extras.intersection(of):
            yield plain(name), frozenset(filter(None, re.split(r"[\s,]+", inner or "")))


def pinned(file: Path = HASHES) -> dict[str, tuple[str, list[str]]]:
    """Name to version and sha256 of every file that may be installed for it."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    return {
        plain(name): (version, re.findall(r"sha256:([0-9a-f]{64})", hashes))
        for name, version, hashes in _PINNED.findall(text)
    }


def bill() -> dict[str, Any]:
    """The document."""
    tree = needed()
    stamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(UTC).timestamp()), UTC)
    components = {name: _component(name) for name in tree}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": stamp.isoformat(),
            "tools": {"components": [{"type": "application", "name": "packaging/sbom.py"}]},
            "component": components.pop(ROOT) | {"type": "application"},
        },
        "components": [components[name] for name in sorted(components)],
        "dependencies": [
            {"ref": _reference(name), "dependsOn": [_reference(each) for each in needs]}
            for name, needs in sorted(tree.items())
        ],
    }


def _reference(name: str) -> str:
    return f"pkg:pypi/{name}@{metadata.version(name)}"


def _component(name: str) -> dict[str, Any]:
    about = metadata.metadata(name)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(name),
        "name": name,
        "version": about["Version"],
        "purl": _reference(name),
    }
    if summary := about.get("Summary"):
        component["description"] = summary
    if expression := about.get("License-Expression"):
        component["licenses"] = [{"expression": expression}]
    elif words := [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if "License ::" in text]:
        component["licenses"] = [{"license": {"name": word}} for word in words]
    elif (text := (about.get("License") or "").strip()) and "\n" not in text:
        component["licenses"] = [{"license": {"name": text}}]
    return component


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
