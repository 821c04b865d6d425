"""What was seen of late, so that a second upload and a repeated guid are told from first ones."""

from __future__ import annotations

from pump.vendors.hik_connect.media import Shape


class Uploads:
    """The first upload of each of the newest records, in memory: about 250 bytes each.

    The caller keeps one for a queue for as long as its source lives. What it has forgotten, or a restart cost, makes
    a second upload an event of its own instead of an update: its id is the same either way.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        # No tuples: the collector would count them, and stop the loop to walk through them.
        self._uploads: dict[int, str] = {}
        self._shapes: dict[int, int] = {}
        self._starts: dict[int, str | None] = {}

    def first(self, key: object, identity: str, shape: Shape) -> str | None:
        """The id of the first upload where this one brings other files than it, else None.

        `key` is the record's identity without its files, `identity` the id of the event that it makes.
        """
        uploads, shapes, place = self._uploads, self._shapes, hash(key)
        seen = uploads.get(place)
        if seen is None:
            uploads[place], shapes[place] = identity, hash(shape)
            if len(uploads) > self._limit:
                oldest = next(iter(uploads))
                del uploads[oldest], shapes[oldest]
            return None
        return None if seen == identity or not shape or shapes[place] == hash(shape) else seen

    def repeated(self, guid: str, start: str | None) -> bool:
        """Whether the alarm's guid began before, at another time: the vendor's second way to say pulse (A.3.20)."""
        starts = self._starts
        seen = starts.setdefault(hash(guid), start)
        if len(starts) > self._limit:
            del starts[next(iter(starts))]
        return seen != start
