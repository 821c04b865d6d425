"""The parts of the daemon in plain words: state, why, what the pump does about it, what somebody can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pump.ops.page.access.visits import Visit
from pump.ops.page.rows import mapping, text

_KINDS: Final = ("source", "sink")
_COUNTED: Final = ("events", "duplicates", "unparsed", "refused", "gaps")


def parts_of(status: Mapping[str, Any], visit: Visit) -> list[dict[str, Any]]:
    """Sources first, then sinks, then the pump's own parts; within each those that need a look first."""
    found = [_part(one, status, visit) for one in status.get("components", ())]
    order = {"source": 0, "sink": 1, "own": 2}
    return sorted(found, key=lambda part: (order[part["kind"]], part["state"] in ("up", "starting"), part["name"]))


def _part(component: Mapping[str, Any], status: Mapping[str, Any], visit: Visit) -> dict[str, Any]:
    t = visit.texts
    whole, state = text(component.get("name")), text(component.get("state"))
    kind, _, name = whole.partition(" ")
    if kind not in _KINDS or not name:
        kind, name = "own", whole
    sink = mapping(mapping(status.get("sinks")).get(name)) if kind == "sink" else {}
    off, failing = text(sink.get("off")), mapping(component.get("failing"))
    shown = "off" if off else "failing" if failing else state
    counts = mapping(mapping(status.get("sources")).get(name)) if kind == "source" else {}
    since = failing.get("since") or component.get("since")
    return {
        "part": whole,
        "kind": kind,
        "name": name,
        "state": shown,
        "said": t.get(f"state.{shown}", shown),
        "why": off or text(failing.get("reason")) or text(component.get("reason")),
        "does": t.get(f"does.{kind}.{shown}", "")
        if not failing
        else t(f"does.{kind}.failing", **_times(failing, visit)),
        "do": t.get(f"do.{kind}.{shown}", ""),
        "since": "" if since is None else visit.words.time(since.isoformat()),
        "idle": round(float(component.get("idle_s") or 0.0)),
        "figures": list(_figures(kind, counts, sink, visit)),
        "rate": counts.get("events", 0) if kind == "source" else sink.get("position", 0),
        "lag": sink.get("lag", 0) if kind == "sink" else None,
        "dead": sink.get("dead", 0) if kind == "sink" else 0,
        "can": _can(kind, shown),
    }


def _times(failing: Mapping[str, Any], visit: Visit) -> dict[str, str]:
    """Since when calls fail, and when the next is due: hours, minutes and seconds of the site."""
    return {name: visit.words.time(failing[name].isoformat()).rpartition(" ")[2] for name in ("since", "again")}


def _figures(kind: str, counts: Mapping[str, Any], sink: Mapping[str, Any], visit: Visit) -> Iterator[dict[str, Any]]:
    if kind == "source":
        for name in _COUNTED:
            if counts.get(name) or name == "events":
                yield {"name": name, "said": visit.texts(f"count.{name}"), "value": counts.get(name, 0)}
    for name in ("lag", "dead") if kind == "sink" else ():
        yield {"name": name, "said": visit.texts(f"count.{name}"), "value": sink.get(name, 0)}


def _can(kind: str, state: str) -> str:
    """The button that it has."""
    if kind == "own":
        return ""
    return "enable" if state == "off" else "restart"
