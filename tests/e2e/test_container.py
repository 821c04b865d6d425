"""The container's files, as far as a machine without containers can try them: what they name is there and fits.

The processes of compose.yaml run here under its names and ports, in a network of their own. Not tried: a build of the
image, a container, Grafana; Prometheus's file goes through promtool.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e.test_install import ALONE, LOOPBACK, may_be_alone
from tests.environ import BARE

_ROOT: Final = Path(__file__).parents[2]
_HERE: Final = _ROOT / "packaging" / "container"
_BIN: Final = Path(sys.prefix) / "bin"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction of the Containerfile, in its order."""
    text = re.sub(r"^#.*\n", "", (_HERE / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_HERE / "compose.yaml").read_text())["services"]
    return found


def health_check() -> list[str]:
    (check,) = of("HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


def test_what_is_copied_is_there_and_not_ignored() -> None:
    rules = [
        line for line in (_HERE / "Containerfile.dockerignore").read_text().splitlines() if line[:1] not in ("#", "")
    ]
    for source in [each for rest in of("COPY") if not rest.startswith("--from") for each in rest.split()[:-1]]:
        assert (_ROOT / source).exists(), source
        verdicts = [not rule.startswith("!") for rule in rules if fnmatch.fnmatch(source, rule.lstrip("!"))]
        assert not verdicts[-1], source
    assert all(f"--from={stage}" in rest for rest in of("COPY") if rest.startswith("--from") for stage in ("build",))


def test_it_runs_as_nobody_who_is_root_and_ends_by_a_signal_that_the_pump_takes() -> None:
    assert of("USER") == ["10001:10001"]
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in ("RUN", "COPY"))
    assert of("STOPSIGNAL") == ["SIGTERM"]


def test_the_extras_and_versions_are_those_of_the_documented_installation() -> None:
    (build,) = (rest for rest in of("RUN") if "pip install" in rest)
    (documented,) = re.findall(r"/opt/pump/bin/pip install .*", (_ROOT / "docs/install.md").read_text())
    assert set(shlex.split(documented)) <= set(shlex.split(build))


def test_ports_and_folders_agree_with_the_configurations() -> None:
    container = tomllib.loads((_HERE / "pump.toml").read_text())
    shipped = (_ROOT / "pump.toml").read_text()
    ports = {table: container[table]["listen"].rpartition(":")[2] for table in ("ops", "server")}
    assert set(" ".join(of("EXPOSE")).split()) == set(ports.values())
    assert all(re.search(rf'listen = "[\d.]+:{port}"', shipped) for port in ports.values())
    pump = services()["pump"]
    assert [port.rpartition(":")[2] for port in pump["ports"]] == [ports["server"], ports["ops"]]
    (folders,) = map(json.loads, of("VOLUME"))
    assert {volume.split(":")[1] for volume in pump["volumes"]} == {*folders, "/etc/pump/pump.toml"}
    assert str(Path(container["sinks"]["out"]["path"]).parent) in folders
    assert container["ops"]["hosts"] == ["pump", "localhost"]


def test_what_compose_mounts_is_there_and_what_is_asked_has_a_service() -> None:
    found = yaml.safe_load((_HERE / "compose.yaml").read_text())
    published = []
    for name, service in found["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (_HERE / source).is_file() if source.startswith(".") else source in found["volumes"], volume
        assert service.get("image") or service.get("build"), name
        assert ":" in service["image"].rpartition("/")[2] or service["image"] == "event-pump", (
            "a version, not the newest"
        )
        published += [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")]
    assert published == ["8080:8080"]  # what devices push to; the rest is this machine's
    prometheus = yaml.safe_load((_HERE / "prometheus.yml").read_text())
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": ["pump:9090"]}]
    grafana = yaml.safe_load((_HERE / "grafana/datasource.yaml").read_text())["datasources"]
    assert [(each["url"], each["type"], each["isDefault"]) for each in grafana] == [
        ("http://prometheus:9090", "prometheus", True)
    ]
    (provider,) = yaml.safe_load((_HERE / "grafana/dashboards.yaml").read_text())["providers"]
    home = found["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(Path(home).parent) == provider["options"]["path"]
    assert f"../../monitoring/dashboard.json:{home}:ro" in found["services"]["grafana"]["volumes"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Debian's package prometheus")
def test_prometheus_takes_its_file(tmp_path: Path) -> None:
    for volume in services()["prometheus"]["volumes"][:2]:
        source, target, _ = volume.split(":")
        shutil.copy(_HERE / source, tmp_path / Path(target).name)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)


_SCRAPE: Final = """\
import time, urllib.request
text = ""
while 'pump_events_total{source="camera"' not in text:
    text = urllib.request.urlopen("http://pump:9090/metrics").read().decode()
    time.sleep(0.2)
print("scraped", "pump_build_info" in text)
"""


@pytest.mark.skipif(not shutil.which("mosquitto"), reason="mosquitto is not installed")
@pytest.mark.shows_secrets
@pytest.mark.timeout(300)
def test_the_services_work_together_under_their_names_and_ports(tmp_path: Path) -> None:
    if not may_be_alone():
        pytest.skip("no network of its own may be made here")
    for folder in ("state", "lines"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost {' '.join(services())}\n")
    config = tmp_path / "pump.toml"
    config.write_text((_HERE / "pump.toml").read_text().replace("/var/log/pump", f"{tmp_path}/lines"))
    (mosquitto,) = (_HERE / volume.split(":")[0] for volume in services()["mosquitto"]["volumes"])
    # here it has no other user to become
    (tmp_path / "mosquitto.conf").write_text(mosquitto.read_text() + "user root\n")

    def here(command: list[str]) -> str:
        return shlex.join([str(config) if word == "/etc/pump/pump.toml" else word for word in command])

    (entry,), run = (json.loads(of(word)[0]) for word in ("ENTRYPOINT", "CMD"))
    script = f"""set -euo pipefail
python -c '{LOOPBACK}'
mount --bind {tmp_path}/hosts /etc/hosts
mosquitto -c {tmp_path}/mosquitto.conf &
{here([entry, *services()["camera"]["command"]])} &
{here([entry, *run])} &
until {here(health_check())}; do sleep 0.3; done
timeout 20 python {tmp_path}/scrape.py
until grep -q '"source":"/demo/camera"' {tmp_path}/lines/events.jsonl; do sleep 0.3; done
kill %3
wait %3
"""
    (tmp_path / "scrape.py").write_text(_SCRAPE)
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        env={"HOME": str(tmp_path), **BARE, "STATE_DIRECTORY": str(tmp_path / "state"),
             "PATH": f"{_BIN}:{BARE['PATH']}:/usr/sbin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: site demo" in done.stdout
    assert "scraped True" in done.stdout
