"""Killed while pictures are fetched: no half file stands under a name, none is fetched into two, no link is lost."""

from __future__ import annotations

import random
import signal
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.chaos.site import Site, patient, site


@pytest.mark.parametrize(
    ("kills", "events"),
    [
        pytest.param(2, 30, id="short"),
        pytest.param(15, 1500, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_every_link_has_its_picture_after_kills_at_random_moments(tmp_path: Path, kills: int, events: int) -> None:
    chance = random.Random(kills)
    with site(tmp_path, fetch=True) as here:
        here.start()
        patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
        for _ in range(kills):
            here.vendor.make(events // kills)
            before = len(_files(tmp_path))
            patient(lambda before=before: len(_files(tmp_path)) > before, "a picture")  # type: ignore[misc]
            time.sleep(chance.random() / 10)  # the moment of the kill is chance, not synchronisation
            here.end(signal.SIGKILL)
            _whole(tmp_path)
            here.start()
        patient(lambda: here.vendor.queue()["completed"] == events // kills * kills, "the last completed batch", 300)
        # the file follows the spool: it has the last alarm first, and then the word on its picture
        patient(lambda: len(_alarms(here)) == events // kills * kills and not _left(here), "the last picture", 300)
        here.up()  # what was left to do may have been done by the one before
        assert here.end(signal.SIGTERM) == 0, here.log()
        results = _results(here)
        linked = [medium["id"] for event in _events(here) for medium in _linked(event)]
        assert sorted(results) == sorted(linked)  # each once
        assert {event["type"] for event in results.values()} == {"media.stored"}
        kept = {event["data"]["media"][0]["sha256"] for event in results.values()}
        assert kept == set(_whole(tmp_path))
        incoming = tmp_path / "state" / "media" / "incoming"
        assert not incoming.exists() or not any(incoming.iterdir())


def _events(here: Site) -> list[dict[str, Any]]:
    """A kill may have torn the last line."""
    lines = here.output.read_bytes().split(b"\n")[:-1] if here.output.exists() else []
    return [orjson.loads(line) for line in lines]


def _linked(event: dict[str, Any]) -> list[dict[str, Any]]:
    media = event["data"].get("media", ())
    return [medium for medium in media if medium["state"] == "remote" and "url" in medium]


def _alarms(here: Site) -> list[dict[str, Any]]:
    return [event for event in _events(here) if not event["type"].startswith(("media.", "pump."))]


def _results(here: Site) -> dict[str, dict[str, Any]]:
    found = [event for event in _events(here) if event["type"].startswith("media.")]
    by_medium = {event["data"]["media"][0]["id"]: event for event in found}
    assert len(by_medium) == len(found)
    return by_medium


def _left(here: Site) -> bool:
    results = _results(here)
    return any(medium["id"] not in results for event in _events(here) for medium in _linked(event))


def _files(folder: Path) -> list[Path]:
    store = folder / "state" / "media"
    return [path for path in store.glob("??/*") if not path.name.endswith(".part")]


def _whole(folder: Path) -> list[str]:
    """The names of all files, each of which its content has."""
    found = _files(folder)
    for path in found:
        assert sha256(path.read_bytes()).hexdigest() == path.name
    return [path.name for path in found]
