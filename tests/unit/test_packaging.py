"""The bill of materials and the audit: all that the pump needs is in the one, and the other finds what was changed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata as metadata
import re
import runpy
from pathlib import Path
from typing import Any, Final

import pytest

_PACKAGING: Final = Path(__file__).parents[2] / "packaging"
_SBOM: Final[dict[str, Any]] = runpy.run_path(str(_PACKAGING / "sbom.py"))
_AUDIT: Final[dict[str, Any]] = runpy.run_path(str(_PACKAGING / "audit.py"))


def constraints() -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==(\S+)$", (_PACKAGING.parent / "constraints.txt").read_text(), re.MULTILINE)
    return {_SBOM["plain"](name): version for name, version in pins}


def test_the_bill_has_what_is_needed_in_the_version_that_is_installed() -> None:
    bill = _SBOM["bill"]()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    components = [bill["metadata"]["component"], *bill["components"]]
    names = [component["name"] for component in components]
    assert names[0] == "event-pump"
    assert len(set(names)) == len(names)
    assert {"aiohttp", "yarl", "pycparser", "pydantic-core", "paho-mqtt"} <= set(names)
    assert not {"pytest", "mypy", "jsonschema"} & set(names)
    assert all(component["version"] == metadata.version(component["name"]) for component in components)
    references = {component["bom-ref"] for component in components}
    assert {each["ref"] for each in bill["dependencies"]} == references
    assert {needed for each in bill["dependencies"] for needed in each["dependsOn"]} | {
        components[0]["bom-ref"]
    } == references
    assert all(component.get("licenses") for component in components)


def test_hashes_pin_the_versions_of_the_constraints_and_all_that_is_needed() -> None:
    """After a change of constraints.txt, `pip-compile` as the head of hashes.txt has it."""
    pinned = {name: version for name, (version, _) in _SBOM["pinned"]().items()}
    known = constraints()
    assert pinned == {name: known[name] for name in pinned}
    assert set(_SBOM["needed"]()) - {"event-pump"} <= set(pinned)
    assert all(hashes for _, hashes in _SBOM["pinned"]().values())


def test_the_audit_finds_what_is_not_pinned_or_in_another_version(tmp_path: Path) -> None:
    hashes = tmp_path / "hashes.txt"
    text = (_PACKAGING / "hashes.txt").read_text()
    hashes.write_text(re.sub(r"^yarl==\S+", "yarl==0.1", text, flags=re.MULTILINE).replace("\nidna==", "\n#idna=="))
    found = list(_AUDIT["differing"](hashes))
    assert f"yarl {metadata.version('yarl')} is installed, 0.1 is pinned" in found
    assert f"idna {metadata.version('idna')} is installed and not pinned" in found


@pytest.mark.parametrize("change", ["none", "changed", "gone"])
def test_the_audit_finds_a_file_that_is_not_as_it_was_installed(tmp_path: Path, change: str) -> None:
    about = tmp_path / "thing-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    module = tmp_path / "thing.py"
    module.write_bytes(b"good = True\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).rstrip(b"=").decode()
    (about / "RECORD").write_text(
        f"thing.py,sha256={digest},12\nthing-1.dist-info/RECORD,,\n../../bin/thing,sha256=x,1\n"
    )
    if change == "changed":
        module.write_bytes(b"good = None\n")
    if change == "gone":
        module.unlink()
    found = list(_AUDIT["_changed"](metadata.Distribution.at(about)))
    assert found == ([] if change == "none" else ["thing: thing.py is not as it was installed"])
