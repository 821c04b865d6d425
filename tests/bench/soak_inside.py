"""The daemon's own process for `tests.bench.soak`: `pump run`, and a thread that writes what only it can know.

A line of JSON every few seconds: bytes that SQLite, the C library and Python's allocator hold. With a census, what
containers there are and how large they have grown; that walk holds the interpreter for a moment, so it is seldom.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import json
import os
import re
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections import Counter, deque
from itertools import islice
from pathlib import Path
from types import CodeType, CoroutineType, FunctionType
from typing import Any, Final

from pump.cli import main

_LARGEST: Final = 25
_MIB: Final = 1 << 20


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _sqlite() -> Any:
    """SQLite's library as this process has it loaded; None where it cannot be found."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    name = next((line.split()[-1] for line in maps if "libsqlite3" in line), None)
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.sqlite3_memory_used.restype = ctypes.c_int64
    return library


_OPEN: Final[list[tuple[str, weakref.ref[sqlite3.Connection]]]] = []
_KINDS: Final = {"cache": 1, "statements": 3}
"""SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_STMT_USED."""


class _Watched(sqlite3.Connection):
    """A connection that can be asked for its memory."""

    def __init__(self, path: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(path, *arguments, **more)
        name = str(path).rpartition("/")[2].partition("?")
        _OPEN.append((name[0] + ("(r)" if name[1] else ""), weakref.ref(self)))


def _connect(path: Any, **more: Any) -> sqlite3.Connection:
    return _Watched(path, **more)


def _connections(sqlite: Any) -> dict[str, float]:
    """MiB by connection: pages kept, statements compiled."""
    found: dict[str, float] = {}
    now, high = ctypes.c_int(), ctypes.c_int()
    for name, reference in _OPEN:
        connection = reference()
        if connection is None:
            continue
        # the handle is the first field of Python's own object
        handle = ctypes.c_void_p.from_address(id(connection) + object.__basicsize__)
        for kind, number in _KINDS.items():
            if handle.value and sqlite.sqlite3_db_status(handle, number, ctypes.byref(now), ctypes.byref(high), 0) == 0:
                found[f"{name} {kind}"] = now.value / _MIB
    return found


_ARENAS: Final = re.compile(r"# arenas allocated current += +([\d,]+)")
_POOLS: Final = re.compile(r"([\d,]+) unused pools")
_ARENA: Final = 1 << 20


def _pymalloc() -> dict[str, float]:
    """MiB that Python's own allocator holds for small objects, and of them those of pools that nobody uses.

    It writes them to the process's stderr alone, which is a file of ours meanwhile.
    """
    with tempfile.TemporaryFile() as file:
        former = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(former, 2)
            os.close(former)
        file.seek(0)
        said = file.read().decode(errors="replace")
    found: dict[str, float] = {}
    if arenas := _ARENAS.search(said):
        found["small"] = int(arenas[1].replace(",", "")) * _ARENA / _MIB
    if pools := _POOLS.search(said):
        found["small_free"] = int(pools[1].replace(",", "")) * 16384 / _MIB
    return found


def _sample(libc: Any, sqlite: Any) -> dict[str, Any]:
    """MiB, but for `blocks`, which are Python's own, and the collector's runs by generation."""
    found: dict[str, Any] = {"python_blocks": sys.getallocatedblocks(), **_pymalloc()}
    found["collected"] = "/".join(str(each["collections"]) for each in gc.get_stats())
    if hasattr(libc, "mallinfo2"):
        libc.mallinfo2.restype = _Mallinfo
        heap = libc.mallinfo2()
        found |= {
            "malloc_used": (heap.uordblks + heap.hblkhd) / _MIB,
            "malloc_free": heap.fordblks / _MIB,
            "malloc_mapped": heap.hblkhd / _MIB,
        }
    if sqlite is not None:
        found["sqlite"] = sqlite.sqlite3_memory_used() / _MIB
        found |= _connections(sqlite)
    return found


def _census() -> dict[str, Any]:
    """How many objects there are of each type, and the largest containers with a glimpse of what lies in them."""
    gc.unfreeze()  # a container made before the freeze grows as well as any other
    objects = gc.get_objects()
    types = Counter(type(each).__qualname__ for each in objects)
    sized = [each for each in objects if type(each) in (dict, list, set, deque, tuple)]
    sized.sort(key=len, reverse=True)
    largest = [f"{type(each).__name__} {len(each)} {str(next(iter(each), ''))[:60]}" for each in sized[:_LARGEST]]
    return {"types": dict(types.most_common(_LARGEST)), "largest": largest, "held": _held(objects)}


def _held(objects: list[Any]) -> dict[str, float]:
    """MiB of texts and bytes by the type of what refers to them, each once; of lists and dicts by a glimpse, too."""
    seen: set[int] = set()
    found: Counter[str] = Counter()
    for each in objects:
        size = 0
        for inner in gc.get_referents(each):
            if isinstance(inner, str | bytes | bytearray) and id(inner) not in seen:
                seen.add(id(inner))
                size += sys.getsizeof(inner)
        if size:
            name = type(each).__qualname__
            if type(each) is dict:
                name += f" of {len(each)}: {', '.join(str(key)[:20] for key in islice(each, 3))}" if size > _MIB else ""
            found[name] += size
    return {name: round(size / _MIB, 2) for name, size in found.most_common(_LARGEST)}


def _garbage() -> dict[str, Any]:
    """Collect all, and name what only the collector could free: by type, and by what errors among it say."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    began = time.perf_counter()
    try:
        gc.collect()
    finally:
        gc.set_debug(0)
    seconds = time.perf_counter() - began
    types = Counter(type(each).__qualname__ for each in gc.garbage)
    errors = Counter(_said(each) for each in gc.garbage if isinstance(each, BaseException))
    tasks = Counter(
        f"{each.__qualname__} {_place(each.cr_code)}" for each in gc.garbage if isinstance(each, CoroutineType)
    )
    functions = Counter(
        f"{each.__qualname__} {_place(each.__code__)}" for each in gc.garbage if isinstance(each, FunctionType)
    )
    gc.garbage.clear()
    return {
        "count": sum(types.values()), "seconds": round(seconds, 4), "types": dict(types.most_common(_LARGEST)),
        "errors": dict(errors.most_common(_LARGEST)),
        "coroutines": dict(tasks.most_common(_LARGEST)), "functions": dict(functions.most_common(_LARGEST)),
    }  # fmt: skip


def _said(error: BaseException) -> str:
    """The error's type, and through which places it went."""
    places = [_place(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return f"{type(error).__qualname__} {' '.join(places[-6:])}"


def _place(code: CodeType, line: int | None = None) -> str:
    return f"{'/'.join(code.co_filename.split('/')[-2:])}:{line or code.co_firstlineno}"


def _watch(output: Path, every: float, census: float) -> None:
    libc, sqlite = ctypes.CDLL(None), None
    due = time.monotonic() + census if census else float("inf")
    while True:
        time.sleep(every)
        sqlite = sqlite or _sqlite()
        found: dict[str, Any] = {"at": time.time(), **_sample(libc, sqlite)}
        if time.monotonic() >= due:
            due += census
            found["census"] = _census()
            blocks = sys.getallocatedblocks()
            found["garbage"] = _garbage()
            found["garbage_blocks"] = blocks - sys.getallocatedblocks()
        with output.open("a") as file:
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    place, interval, between = sys.argv[1:4]
    sys.argv[1:4] = []
    sqlite3.connect = _connect  # type: ignore[assignment]  # whoever connects calls it by its module
    threading.Thread(target=_watch, args=(Path(place), float(interval), float(between)), daemon=True).start()
    main()
