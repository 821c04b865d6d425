"""Which source says its channels' numbers without its own name, over the years of a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from pump.config import Config, load
from pump.core.clock import Clock
from pump.registry import DEFAULT
from pump.runtime.build import build
from pump.runtime.numbering import qualify
from pump.spool import Spool
from pump.telemetry.metrics import Metrics


def _config(folder: Path, *names: str, disabled: str = "") -> Config:
    """Cameras of these names, and a source whose devices' ids are unique by themselves."""
    cameras = "".join(
        f'[sources.{name}]\ntype = "hik-camera"\nurl = "http://192.0.2.{place}"\npassword = "p"\n'
        f"enabled = {'false' if name == disabled else 'true'}\n"
        for place, name in enumerate(names, 1)
    )
    file = folder / "pump.toml"
    file.write_text(f'[pump]\nsite = "s"\nstate_dir = "{folder}"\n[sources.park]\ntype = "avaeye"\n{cameras}')
    return load(file)


async def _bare(config: Config) -> set[str]:
    """One run of a daemon with this configuration, as far as subjects go."""
    clock = Clock()
    spool = await Spool.open(config.state_dir, config.spool, clock=clock, metrics=Metrics())
    try:
        sources = build(config, DEFAULT, clock).sources
        qualify(sources, config, spool)
        await spool.flush()
        return {name for name, source in sources.items() if not source.qualifier}
    finally:
        await spool.close()


async def test_the_first_camera_of_a_site_is_never_renamed(tmp_path: Path) -> None:
    assert await _bare(_config(tmp_path, "gate")) == {"gate"}
    assert await _bare(_config(tmp_path, "yard", "gate")) == {"gate"}
    assert await _bare(_config(tmp_path, "yard")) == set()  # what it said as gate's neighbour stays its subject
    assert await _bare(_config(tmp_path, "yard", "gate")) == {"gate"}


@pytest.mark.parametrize("disabled", ["", "yard"])
async def test_cameras_that_begin_together_all_have_their_names_for_good(tmp_path: Path, disabled: str) -> None:
    assert await _bare(_config(tmp_path, "gate", "yard", disabled=disabled)) == set()
    assert await _bare(_config(tmp_path, "gate")) == set()


async def test_a_site_without_cameras_notes_nothing(tmp_path: Path) -> None:
    assert await _bare(_config(tmp_path)) == set()
    assert await _bare(_config(tmp_path, "gate")) == {"gate"}
