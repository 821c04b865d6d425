"""The secrets that test data holds: what a test gives to a source, a sink or a device as a password, a key or a token.

No output may hold one of them (`tests/leaks.py`). A test that needs a secret takes one of `PLANTED`, or makes one with
`planted`; short words such as "sk" or "right" are found in other texts and guard nothing.
"""

from __future__ import annotations

import re
from typing import Final

from pump.sinks.tuya.simulator.server import SECRET as TUYA

PLANTED: Final = (
    "Camera-1",
    "Camera-2",
    "Another-1",
    "Golden-1",
    "Quite-a-secret-1",
    "another-secret",
    "broker-secret-1",
    "camera-secret",
    "conf-secret-1",
    "golden-secret",
    "hcc.kept",
    "hunter2hunter2",
    "sk-north",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "wrong-secret",
    "xxxxxx-secret",
    TUYA,
)
"""Those that stand in more than one place, or in simulators."""
_MADE: Final = "planted-secret-"
_OF_A_FORM: Final = (r"\bsecret1\b", r"\bhcc\.[0-9a-f]{32}", r"\ba-token-of-the-[a-z]+")
"""The simulated gateway's password, tokens of the simulated Hik-Connect, tokens of the ops listener."""
_SECRETS: Final = re.compile("|".join((*map(re.escape, (*PLANTED, _MADE)), *_OF_A_FORM)))


def planted(number: int) -> str:
    """A secret of a form that is recognised wherever it turns up."""
    return f"{_MADE}{number}"


def found(text: str | bytes) -> str:
    """The first secret in a text with what stands around it; "" where there is none."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    match = _SECRETS.search(text)
    return "" if match is None else f"…{text[max(0, match.start() - 80) : match.end() + 40]}…"
