"""The link's own edges; what it does with real brokers is seen through the sink."""

from __future__ import annotations

import ast
from pathlib import Path

import pump
from pump.sinks.mqtt.protocol import LinkOptions

_ROOT = Path(pump.__file__).parent


def test_the_client_library_is_known_to_few_files_alone() -> None:
    """aiomqtt 3 drops paho and MQTT 3.1.1: what that breaks is to be mended in few places, one a room that uses it."""
    knowing = set()
    for path in _ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if {name.split(".")[0] for name in names} & {"aiomqtt", "paho"}:
                knowing.add(path.relative_to(_ROOT).as_posix())
    assert {one for one in knowing if not one.startswith(("testing/", "demo"))} == {
        "core/net/mqtt.py", "sinks/mqtt/link.py", "vendors/avaeye/broker.py", "vendors/avaeye/simulator/subscriber.py",
    }  # fmt: skip


def test_a_password_is_not_shown() -> None:
    options = LinkOptions("host", 1883, "id", "5", 30, 10.0, username="gate", password="hush")
    assert "hush" not in repr(options)
