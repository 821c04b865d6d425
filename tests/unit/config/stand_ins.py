"""Kinds of sources and sinks for the configuration's tests, written into a package of their own and found like any."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from pump.registry import Registry

SOURCE = """
from typing import Annotated, Literal
from pydantic import Field, SecretStr
from pump.core.settings import Duration, Secret, Settings, Size, SourceSettings

class Inner(Settings):
    depth: int = 1
    pin: Secret | None = None

class CloudSettings(SourceSettings):
    type: Literal["cloud-box"]
    server: str = "https://example.com"
    app_key: str = Field(min_length=3)
    secret_key: Secret
    old_secrets: tuple[Secret, ...] = ()
    either: Secret | tuple[Secret, ...] | None = None
    queues: tuple[Literal["combine", "alarm", "rawmsg"], ...] = ("combine",)
    batch_size: Literal[100, 200, 300] = 100
    poll_interval: Duration = Field(default=0.5, gt=0)
    cache: Size = 1024
    ratio: float = Field(default=0.5, ge=0, le=1)
    retries: int = Field(default=3, ge=0, le=9)
    verify: bool = True
    event_types: dict[str, tuple[int | str, ...]] = {}
    weights: dict[Literal["combine", "alarm", "rawmsg"], int] = {}
    zones: tuple[str, ...] = Field(default=("a",), min_length=1)
    inner: Inner = Inner()

    def identity(self):
        return self.app_key

    def warnings(self):
        return ["combine beside alarm: the same alarms come twice"] if {"combine", "alarm"} <= {*self.queues} else []

class SOURCE:
    Settings = CloudSettings
"""
SINK = """
from typing import Literal
from pump.core.settings import SinkSettings

class PaperSettings(SinkSettings):
    type: Literal["paper"]
    path: str

    def identity(self):
        return self.path

class SINK:
    Settings = PaperSettings
"""
_numbers = itertools.count()


def kinds(folder: Path) -> Registry:
    """A registry over a fresh package in `folder`: the source "cloud-box", the sinks "paper" and "needs-more"."""
    package = f"stand_in_{next(_numbers)}"
    files = {
        "__init__.py": "",
        "vendors/__init__.py": "",
        "vendors/cloud_box/__init__.py": SOURCE,
        "sinks/__init__.py": "",
        "sinks/paper.py": SINK,
        "sinks/needs_more.py": "import a_package_that_nobody_has\nSINK = 1\n",
    }
    for name, text in files.items():
        path = folder / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.path.insert(0, str(folder))
    try:
        registry = Registry(f"{package}.vendors", f"{package}.sinks")
        registry.source("cloud-box")
        registry.sink("paper")
    finally:
        sys.path.remove(str(folder))
    return registry
