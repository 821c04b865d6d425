"""Alert rules and dashboard for Prometheus and Grafana, and the page of metrics, against what the daemon exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_RULES: Final = _ROOT / "monitoring" / "alerts.yml"
_BOARD: Final = _ROOT / "monitoring" / "dashboard.json"
_PAGE: Final = _ROOT / "docs" / "metrics.md"
_LINE: Final = re.compile(r"(?P<name>\S+) (?P<kind>\S+) \((?P<labels>.*?)\): (?P<help>.+)")
_SELECTOR: Final = re.compile(r"\b((?:pump|process)_[a-z_]+)(?:\{([^}]*)\})?")
_ALWAYS: Final = {"instance", "job", "le"}


@dataclass(frozen=True)
class _Family:
    kind: str
    labels: tuple[str, ...]
    help: str


@cache
def _exported() -> dict[str, _Family]:
    """Name to family; tests/golden holds the file against a running daemon with every kind of source and sink."""
    lines = json.loads((_ROOT / "tests/golden/data/running.json").read_text())["metrics"]
    found = [_LINE.fullmatch(line) for line in lines]
    return {
        match["name"]: _Family(match["kind"], tuple(filter(None, match["labels"].split(", "))), match["help"])
        for match in found
        if match is not None
    }


@cache
def _alerts() -> dict[str, str]:
    """Alert to expression, one line each in the file."""
    return dict(re.findall(r"- alert: (\w+)\n\s+expr: (.+)\n", _RULES.read_text()))


@cache
def _shown() -> list[str]:
    board = json.loads(_BOARD.read_text())
    panels: list[Any] = board["panels"] + board["annotations"]["list"]
    return [one["expr"] for panel in panels for one in panel.get("targets", [panel])]


@pytest.mark.parametrize("expression", [*_alerts().values(), *_shown()])
def test_alerts_and_dashboard_ask_for_what_the_daemon_exports(expression: str) -> None:
    selectors = _SELECTOR.findall(expression)
    assert selectors
    for name, matchers in selectors:
        family = _exported().get(re.sub("_bucket$", "", name))
        assert family is not None, name
        assert set(re.findall(r"(\w+)\s*=", matchers)) <= {*family.labels, *_ALWAYS}
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        known = {label for name, _ in selectors for label in _exported()[re.sub("_bucket$", "", name)].labels}
        assert set(labels.split(", ")) <= known | _ALWAYS


def test_every_alert_says_what_happened_and_what_a_person_can_do() -> None:
    text = _RULES.read_text()
    assert text.count("- alert:") == text.count("summary:") == text.count("description:") == len(_alerts())


def test_every_panel_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(_BOARD.read_text())["panels"]:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in mine) < 24
        assert not mine & taken, panel["title"]
        taken |= mine


def test_the_page_of_metrics_has_each_of_them_as_the_daemon_describes_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+?) \|$", _PAGE.read_text(), re.MULTILINE)
    wanted = {
        (name, family.kind, ", ".join(family.labels), family.help)
        for name, family in _exported().items()
        if name.startswith("pump_")
    }
    assert {(name, kind, labels.strip(), text) for name, kind, labels, text in rows} == wanted


# --- by Prometheus's own tool -----------------------------------------------------------------------------------------

promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Debian's package prometheus")
_PUMP: Final = {'pump_build_info{version="1"}': "1+0x120"}
_FIRES: Final[dict[str, dict[str, str]]] = {
    "PumpAbsent": {'pump_build_info{version="1"}': "1 1 stale"},
    "PumpRestartsOften": {**_PUMP, "process_start_time_seconds": "0+100x120"},
    "PumpSourceDown": {**_PUMP, 'pump_up{part="source gate"}': "0+0x120"},
    "PumpSourceSilent": {**_PUMP, 'pump_component_state{part="source gate", state="stalled"}': "1+0x120"},
    "PumpPartStuck": {**_PUMP, 'pump_stuck_total{part="source gate"}': "0+0x30 1+0x20 2+0x70"},
    "PumpSinkDown": {**_PUMP, 'pump_up{part="sink hook"}': "0+0x120"},
    "PumpSinkOff": {**_PUMP, 'pump_sink_off{sink="hook"}': "1+0x120"},
    "PumpSinkBehind": {**_PUMP, 'pump_lag_events{sink="hook"}': "2000+10x120"},
    "PumpSpoolFillsUp": {**_PUMP, "pump_spool_bytes": "850+2x120", "pump_spool_limit_bytes": "1000+0x120"},
    "PumpSpoolRefuses": {**_PUMP, "pump_spool_full": "1+0x120"},
    "PumpSpoolDamaged": {**_PUMP, "pump_spool_damaged_rows_total": "0+0x30 1+0x90"},
    "PumpEventsLost": {**_PUMP, 'pump_lost_total{sink="hook"}': "0+0x30 7+0x90"},
    "PumpDeadLetters": {**_PUMP, 'pump_dead_letters_total{sink="hook"}': "0+0x30 1+0x90"},
    "PumpUnparsed": {**_PUMP, 'pump_unparsed_total{source="gate"}': "0+0x30 1+0x90"},
    "PumpGap": {**_PUMP, 'pump_gap_records{source="gate", state="open"}': "1+0x120"},
    "PumpPicturesFail": {**_PUMP, 'pump_media_failed_total{source="gate", reason="expired"}': "0+1x120"},
    "PumpPicturesEvicted": {**_PUMP, 'pump_media_evicted_total{reason="size"}': "0+0x30 1+0x90"},
    "PumpCommandsUnknown": {
        **_PUMP, 'pump_commands_total{source="gate", verb="gate.open", status="unknown"}': "0+0x30 1+0x90",
    },
    "PumpClockDiffers": {**_PUMP, 'pump_device_clock_offset_seconds{source="gate"}': "-90+0x120"},
    "PumpLoopStands": {**_PUMP, "pump_loop_stood_seconds": "0+0x30 9+0x90"},
    "PumpDescriptors": {**_PUMP, "process_open_fds": "900+0x120", "process_max_fds": "1000+0x120"},
}  # fmt: skip
"""A series a minute, in promtool's notation, that must raise the alert after 70 minutes."""
_WELL: Final[dict[str, str]] = {
    **_PUMP,
    "process_start_time_seconds": "5+0x120",
    'pump_up{part="source gate"}': "0 0 0 1+0x117",
    'pump_component_state{part="source gate", state="stalled"}': "0+0x120",
    'pump_component_state{part="source gate", state="up"}': "1+0x120",
    'pump_up{part="sink hook"}': "1+0x120",
    'pump_up{part="media"}': "1+0x120",
    'pump_stuck_total{part="source gate"}': "3+0x120",
    'pump_sink_off{sink="hook"}': "0+0x120",
    'pump_lag_events{sink="hook"}': "90000-50x120",
    "pump_spool_bytes": "850+0x120",
    "pump_spool_limit_bytes": "1000+0x120",
    "pump_spool_full": "0+0x120",
    "pump_spool_damaged_rows_total": "3+0x120",
    'pump_lost_total{sink="hook"}': "3+0x120",
    'pump_dead_letters_total{sink="hook"}': "3+0x120",
    'pump_unparsed_total{source="gate"}': "3+0x120",
    'pump_gap_records{source="gate", state="open"}': "0 1 1 1 0+0x116",
    'pump_gap_records{source="gate", state="unfillable"}': "5+0x120",
    'pump_media_failed_total{source="gate", reason="expired"}': "0+0x60 2+0x60",
    'pump_media_evicted_total{reason="age"}': "0+1x120",
    'pump_commands_total{source="gate", verb="gate.open", status="done"}': "0+1x120",
    'pump_device_clock_offset_seconds{source="gate"}': "-3+0x120",
    "pump_loop_stood_seconds": "9+0x120",
    "process_open_fds": "90+0x120",
    "process_max_fds": "1000+0x120",
}
"""A pump that is well: some things happened to it long ago, or are over."""


def _promtool(folder: Path, *tests: tuple[dict[str, str], dict[str, int]]) -> None:
    """Run the rules over the series, and hold the alerts that fire after 70 minutes against the numbers given."""
    cases = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "70m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{alert}"}}', "value": count} for alert, count in fires.items()
                    ],
                }
            ],
        }
        for series, fires in tests
    ]
    path = folder / "test.yml"  # JSON is YAML
    path.write_text(json.dumps({"rule_files": [str(_RULES)], "evaluation_interval": "1m", "tests": cases}))
    ended = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@promtool
def test_each_alert_fires_on_its_fault_and_alone(tmp_path: Path) -> None:
    assert set(_FIRES) == set(_alerts())
    _promtool(tmp_path, *((series, {alert: 1}) for alert, series in _FIRES.items()))


@promtool
def test_no_alert_fires_on_a_pump_that_is_well(tmp_path: Path) -> None:
    _promtool(tmp_path, (_WELL, {}))


@promtool
def test_prometheus_can_read_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [{"record": f"panel_{number}", "expr": each} for number, each in enumerate(_shown())]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    ended = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
