"""The vendor's dictionaries: its codes in the pump's vocabulary, and the meaning of its HTTP statuses.

Every code of the vendor's document has its row; a code without one becomes `UNKNOWN` and keeps its own word.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pump.core.taxonomy import Phase, Severity


class Row(NamedTuple):
    """The meaning of one code."""

    type: str
    """A type of `pump/core/taxonomy.py`; new ones are added there."""
    name: str
    phase: Phase
    severity: Severity


CODES: Final[dict[str, Row]] = {
    "opened": Row("access.door.opened", "Door opened", "start", "info"),
    "closed": Row("access.door.closed", "Door closed", "end", "info"),
    "forced": Row("access.door.forced", "Door forced", "pulse", "critical"),
    "battery_low": Row("device.battery.low", "Battery low", "pulse", "warning"),
}
UNKNOWN: Final = Row("device.unknown", "Unknown event", "pulse", "notice")


class Answer(NamedTuple):
    """The meaning of an HTTP status, and what the operator can do."""

    meaning: str
    advice: str = ""
    person: bool = False
    """Only a person can mend it."""

    @property
    def text(self) -> str:
        """Meaning and advice in one line."""
        return f"{self.meaning}: {self.advice}" if self.advice else self.meaning


_KEY: Final = "check api_key"
_SERVER: Final = "check server"

ANSWERS: Final[dict[int, Answer]] = {
    401: Answer("the vendor refuses the key", _KEY, person=True),
    403: Answer("the key may not read records", _KEY, person=True),
    404: Answer("nothing is at this address", _SERVER),
    409: Answer("the vendor knows nothing of this batch", "it hands the records out again"),
    429: Answer("the vendor is asked too often", "raise poll_interval if it lasts"),
}
_CLASSES: Final[dict[int, Answer]] = {
    3: Answer("the server sends us elsewhere", _SERVER, person=True),
    4: Answer("the vendor refuses the request"),
    5: Answer("the vendor has an error"),
}
_STRANGE: Final = Answer("the vendor answers with a strange status")


def answer_of(status: int) -> Answer:
    """The row of an HTTP status that is no success."""
    return ANSWERS.get(status) or _CLASSES.get(status // 100) or _STRANGE
