"""The codes of `event_types`, as the document prints them or as they are sent, in the spelling that each queue wants.

The alarm and the combine queue are subscribed by bare numbers (A.1.4, A.1.5), the message queue by "Msg" and a number
(A.1.7), some of which the document prints with a space. A code that the vendor lists for no queue may be one of a later
version; one that it lists for other queues alone would never bring an event, and nobody would notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pump.core.vocabulary import misspelled
from pump.vendors.hik_connect.codes import LISTED, TWINS

_CODE: Final = re.compile(r"(msg)?([0-9]{5,6})", re.IGNORECASE)
_EXAMPLES: Final = {"alarm": "10002", "combine": "80001", "rawmsg": "Msg110003"}
_SECTIONS: Final = {"alarm": "A.1.4", "combine": "A.1.5", "rawmsg": "A.1.7"}


def spelled(queue: str, code: str | int) -> str:
    """The code as the queue's subscription has it. Raises ValueError with a sentence for one that it cannot have."""
    found = _CODE.fullmatch("".join(str(code).split()))
    if found is None:
        raise ValueError(f"event_types.{queue}: {code!r} is no code such as {_EXAMPLES[queue]}")
    prefix, digits = found.groups()
    listed = digits in LISTED[queue]
    elsewhere = any(digits in codes for codes in LISTED.values())
    if not listed and (elsewhere or (prefix and queue != "rawmsg")):
        hint = _twin(queue, digits)
        other = f"; here that is {hint}" if hint else f"; see {_SECTIONS[queue]} of the vendor's document"
        raise ValueError(f"event_types.{queue}: the queue has no {code!r}{other}")
    return f"Msg{digits}" if queue == "rawmsg" else digits


def unlisted(queue: str, codes: Iterable[str | int]) -> Iterator[str]:
    """A sentence for each code, as the queue spells it, that the document does not list, with the queue's nearest."""
    known = [spelled(queue, code) for code in sorted(LISTED[queue])]
    yield from misspelled(
        (spelled(queue, code) for code in codes), known, f"of event_types.{queue} is not in the document"
    )


def _twin(queue: str, digits: str) -> str | None:
    """The queue's own code for the thing that is `digits` in another."""
    for alarm, message in TWINS:
        if digits in (alarm, message) and alarm and message:
            return f"Msg{message}" if queue == "rawmsg" else alarm
    return None
