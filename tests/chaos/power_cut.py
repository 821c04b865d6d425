"""What a power cut leaves of a folder: rebuilt from a trace of a process's writes, with no more than was fsynced.

The disk that is played is the worst that POSIX allows. Of a file's content there is what had been written when its last
fsync began; a name is there, or gone, once its folder was fsynced after it. With `chance`, some of what came later is
there too, each write by itself and names in order: disks and journals write early as they like.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

CALLS: Final = (
    "openat", "open", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "truncate",
    "fallocate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat", "mkdir", "mkdirat", "rmdir",
    "fsync", "fdatasync", "mmap", "sendfile", "copy_file_range", "sync_file_range",
)  # fmt: skip
_CALL: Final = re.compile(r"(\d+\.\d+) (\w+)\((.*)\) += (-?\w+)(?:<(?P<path>[^>]*)>)?.*<(\d+\.\d+)>$")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE: Final = re.compile(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_WHOLE: Final = 1 << 20
"""Bytes of a call's text that are traced; no call of the pump writes more at once."""


def tracer(prefix: Path) -> list[str] | None:
    """The beginning of a command line that traces what follows it; None where this machine cannot or may not."""
    strace = shutil.which("strace")
    if (
        strace is None
        or subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode
    ):
        return None
    options = ["-ff", "--seccomp-bpf", "-ttt", "-T", "-y", "-xx", "-s", str(_WHOLE), "-o", str(prefix)]
    return [strace, *options, "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]


class _Always(random.Random):
    """The chance that everything has reached the disk."""

    def random(self) -> float:
        return 0.0

    def uniform(self, a: float, b: float) -> float:
        return b


EVERYTHING: Final = _Always()
"""A chance for `Disk.at`: nothing is lost, as after a kill."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the kernel that succeeded."""

    name: str
    begun: float
    ended: float
    arguments: str
    result: str
    opened: str
    """The path of the file that it opened."""


def calls(prefix: Path) -> list[Call]:
    """All calls of a trace, of all threads, in the order of their ends."""
    found = []
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        for line in path.read_text().splitlines():
            if (match := _CALL.match(line)) is not None and not match[4].startswith("-"):
                begun, took = float(match[1]), float(match[6])
                found.append(Call(match[2], begun, begun + took, match[3], match[4], _text(match["path"] or "")))
    return sorted(found, key=lambda call: call.ended)


Change = Callable[[bytearray], None]


@dataclass(slots=True, eq=False)
class Inode:
    """A file, whatever its name."""

    changes: list[tuple[float, Change]] = field(default_factory=list)
    """When each had been made, and what it does to the content."""
    syncs: list[tuple[float, float]] = field(default_factory=list)
    """When each fsync began and ended."""
    position: int = 0
    """Of its one descriptor that `write` goes by: the pump appends with none but this."""

    def content(self, cut: float, chance: random.Random | None) -> bytes:
        """What is there after a cut."""
        stored = _stored(self.syncs, cut)
        content = bytearray()
        for ended, change in self.changes:
            if ended <= stored or (chance is not None and ended <= cut and chance.random() < 0.5):
                change(content)
        return bytes(content)


@dataclass(slots=True, eq=False)
class Folder:
    """The names in a folder, as changes of them."""

    changes: list[tuple[float, str, Inode | Folder | None]] = field(default_factory=list)
    """When, which name, and what it stands for from then on; None: nothing."""
    syncs: list[tuple[float, float]] = field(default_factory=list)

    def names(self, cut: float, chance: random.Random | None) -> dict[str, Inode | Folder]:
        """What is there after a cut."""
        stored = _stored(self.syncs, cut)
        if chance is not None:
            stored = chance.uniform(min(stored, cut), cut)
        found: dict[str, Inode | Folder | None] = {}
        for ended, name, inode in self.changes:
            if ended <= stored:
                found[name] = inode
        return {name: inode for name, inode in found.items() if inode is not None}


def _stored(syncs: list[tuple[float, float]], cut: float) -> float:
    """When the last fsync began that had ended before the cut: what had been done by then is stored."""
    return max((begun for begun, ended in syncs if ended <= cut), default=0.0)


class Disk:
    """A folder, at first empty, and all that a trace did in it. `at` gives it as a cut leaves it."""

    def __init__(self, root: Path, trace: list[Call]) -> None:
        """Raises ValueError for a call that is not understood: then the trace proves nothing."""
        self._root = str(root)
        self._folders: dict[str, Folder] = {self._root: Folder()}
        self._now: dict[str, Inode] = {}
        """By its path at the moment."""
        self._mapped: set[str] = set()
        for call in trace:
            if (handle := _HANDLERS.get(call.name)) is not None:
                handle(self, call)

    def at(self, cut: float, target: Path, chance: random.Random | None = None) -> None:
        """Make the folder `target` as it is after a power cut at that moment. Shared memory is no file of a disk."""
        self._lay(self._folders[self._root], target, cut, chance)

    def _lay(self, folder: Folder, place: Path, cut: float, chance: random.Random | None) -> None:
        place.mkdir()
        for name, what in folder.names(cut, chance).items():
            if isinstance(what, Folder):
                self._lay(what, place / name, cut, chance)
            elif not name.endswith("-shm"):
                content = what.content(cut, chance)
                with (place / name).open("wb") as file:
                    file.write(content.rstrip(b"\0"))
                    file.truncate(len(content))  # a reserve of zeros takes no room here

    def forget(self) -> None:
        """Be a disk whose fsyncs do nothing."""
        every: list[Inode | Folder] = [*self._now.values(), *self._folders.values()]
        for one in every:
            one.syncs = []

    # --- the calls ----------------------------------------------------------------------------------------------------

    def _open(self, call: Call) -> None:
        path = call.opened
        if not self._inside(path) or "O_DIRECTORY" in call.arguments or path in self._folders:
            return
        inode = self._now.get(path)
        if inode is None:
            inode = self._now[path] = Inode()
            if "O_TMPFILE" not in call.arguments:
                self._name(call.ended, path, inode)
        if "O_TRUNC" in call.arguments or call.name == "creat":
            inode.changes.append((call.ended, partial(_truncate, 0)))
        inode.position = 0

    def _write(self, call: Call) -> None:
        if (inode := self._file(call)) is not None:
            data = b"".join(map(_bytes, _TEXT.findall(call.arguments)))[: int(call.result)]
            if len(data) != int(call.result):
                raise ValueError(f"{call.name}: {call.result} bytes were written and {len(data)} traced")
            if call.name.startswith("pwrite"):
                place = int(call.arguments.rsplit(", ", 1)[1])
            else:
                place, inode.position = inode.position, inode.position + len(data)
            inode.changes.append((call.ended, partial(_put, place, data)))

    def _truncated(self, call: Call) -> None:
        if (inode := self._file(call)) is not None:
            inode.changes.append((call.ended, partial(_truncate, int(call.arguments.rsplit(", ", 1)[1]))))

    def _allocated(self, call: Call) -> None:
        if (inode := self._file(call)) is not None:
            mode, offset, length = call.arguments.split(", ")[1:]
            if mode == "0":
                inode.changes.append((call.ended, partial(_extend, int(offset) + int(length))))

    def _synced(self, call: Call) -> None:
        path = self._path(call)
        found = self._folders.get(path) or self._now.get(path)
        if found is not None:
            found.syncs.append((call.begun, call.ended))

    def _renamed(self, call: Call) -> None:
        before, after = self._paths(call)
        if self._inside(before) and self._inside(after):
            inode = self._now.pop(before)
            self._name(call.ended, before, None)
            self._now[after] = inode
            self._name(call.ended, after, inode)

    def _linked(self, call: Call) -> None:
        before, after = self._paths(call)
        if self._inside(after):
            inode = self._now[before]
            self._now[after] = inode
            self._name(call.ended, after, inode)

    def _unlinked(self, call: Call) -> None:
        [path] = self._paths(call)
        if self._inside(path):
            if "AT_REMOVEDIR" in call.arguments:
                raise ValueError("a folder was removed")
            self._now.pop(path, None)
            self._name(call.ended, path, None)

    def _made(self, call: Call) -> None:
        [path] = self._paths(call)
        if self._inside(path):
            self._folders[path] = made = Folder()
            self._name(call.ended, path, made)

    def _map(self, call: Call) -> None:
        path = self._path(call)
        written = "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments
        if self._inside(path) and written and not path.endswith("-shm"):
            raise ValueError(f"{path} is written through memory")

    def _strange(self, call: Call) -> None:
        if any(map(self._inside, self._all_paths(call))):
            raise ValueError(f"{call.name} is not understood")

    # --- names --------------------------------------------------------------------------------------------------------

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self._root}/")

    def _file(self, call: Call) -> Inode | None:
        """The file that the call's first descriptor stands for, where it lies in the folder."""
        path = self._path(call)
        if not self._inside(path) or path.endswith("(deleted)"):
            return None
        return self._now[path]

    def _path(self, call: Call) -> str:
        match = _FILE.search(call.arguments)
        return "" if match is None else _text(match[2])

    def _all_paths(self, call: Call) -> Iterator[str]:
        yield from (_text(match[2]) for match in _FILE.finditer(call.arguments))

    def _paths(self, call: Call) -> list[str]:
        """Absolute ones, of a call that names files by paths, relative to a folder or not."""
        folders = [*self._all_paths(call)]
        found = []
        for number, text in enumerate(_TEXT.findall(call.arguments)):
            path = _text(text)
            if not path.startswith("/"):
                path = f"{folders[min(number, len(folders) - 1)]}/{path}" if folders else path
            found.append(path)
        return found

    def _name(self, when: float, path: str, inode: Inode | Folder | None) -> None:
        folder, _, name = path.rpartition("/")
        self._folders[folder].changes.append((when, name, inode))


_HANDLERS: Final[dict[str, Callable[[Disk, Call], None]]] = {
    **dict.fromkeys(("openat", "open", "creat"), Disk._open),
    **dict.fromkeys(("write", "writev", "pwrite64", "pwritev"), Disk._write),
    **dict.fromkeys(("ftruncate",), Disk._truncated),
    "fallocate": Disk._allocated,
    **dict.fromkeys(("fsync", "fdatasync"), Disk._synced),
    **dict.fromkeys(("rename", "renameat", "renameat2"), Disk._renamed),
    **dict.fromkeys(("link", "linkat"), Disk._linked),
    **dict.fromkeys(("unlink", "unlinkat"), Disk._unlinked),
    **dict.fromkeys(("mkdir", "mkdirat"), Disk._made),
    "mmap": Disk._map,
    **dict.fromkeys(("truncate", "pwritev2", "sendfile", "copy_file_range", "sync_file_range", "rmdir"), Disk._strange),
}


def _put(place: int, data: bytes, content: bytearray) -> None:
    if len(content) < place:
        content.extend(bytes(place - len(content)))
    content[place : place + len(data)] = data


def _truncate(size: int, content: bytearray) -> None:
    if len(content) > size:
        del content[size:]
    else:
        _extend(size, content)


def _extend(size: int, content: bytearray) -> None:
    content.extend(bytes(max(0, size - len(content))))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(text: str) -> str:
    return _bytes(text).decode(errors="surrogateescape")
