"""One account at the vendor's: records that wait, and batches that were handed out."""

from __future__ import annotations

from typing import Any


class Account:
    """A queue. A record waits until a batch that holds it is confirmed."""

    def __init__(self) -> None:
        self.waiting: dict[int, Any] = {}
        """Running number to record, in order."""
        self.confirmed: list[Any] = []
        self.handed = 0
        """Records handed out, repeated ones counted again."""
        self._added = 0
        self._batches = 0
        self._out: dict[int, list[int]] = {}

    def add(self, *records: Any) -> None:
        """Records that happened."""
        for record in records:
            self._added += 1
            self.waiting[self._added] = record

    def hand_out(self, most: int) -> tuple[int | None, list[Any]]:
        """The oldest that wait, as a batch of its own number; None where none waits. Batches before it are void."""
        numbers = list(self.waiting)[:most]
        if not numbers:
            return None, []
        self._batches += 1
        self._out = {self._batches: numbers}
        self.handed += len(numbers)
        return self._batches, [self.waiting[number] for number in numbers]

    def confirm(self, batch: object) -> bool:
        """Forget a batch's records; false for one that is not out."""
        numbers = self._out.pop(batch, None) if isinstance(batch, int) else None
        self.confirmed += [self.waiting.pop(number) for number in numbers or ()]
        return numbers is not None

    def redeliver(self, most: int) -> None:
        """Let the newest confirmed records wait again, as after a fail-over of the vendor's."""
        self.add(*self.confirmed[-most:])
