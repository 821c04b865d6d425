"""The meaning of Tuya's answers: its codes come inside HTTP 200, as {"success": false, "code": 1010, "msg": "…"}.

The document of records/sync refers to the vendor's list of global error codes. It does not say which of them a Jieshun
lot gives, which does not support the command: besides the codes for that, the vendor's words count where a code is new.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple

import orjson

_EXCERPT: Final = 200
"""Characters of the vendor's message that are reported."""
_NOT_SUPPORTED: Final = "not support"


class Action(Enum):
    """The step that follows a failed call."""

    LATER = "later"
    """Try again, with backoff."""
    TOKEN = "token"
    """Get a new token, once, and try again."""
    ASIDE = "aside"
    """It is about what this request holds: let others go first, and try it again after a longer wait."""
    WRONG = "wrong"
    """Only a person can mend it."""
    NEVER = "never"
    """The lot does not know the command: do not try again."""


class Meaning(NamedTuple):
    """One row: what follows, and advice for the operator where there is any."""

    action: Action
    advice: str = ""


_KEYS: Final = Meaning(Action.WRONG, "check client_id, client_secret and host (each data center has its own)")
_RIGHTS: Final = Meaning(Action.WRONG, "the cloud project may not do this: check its services and linked devices")
_LATER: Final = Meaning(Action.LATER)
_TOKEN: Final = Meaning(Action.TOKEN)
_CONTENT: Final = Meaning(Action.ASIDE, "other windows go on; this one is tried again")
_UNKNOWN_COMMAND: Final = Meaning(Action.NEVER, "Jieshun lots do not support records/sync")

OF_CODE: Final[dict[int, Meaning]] = {
    500: _LATER,
    1000: _CONTENT,
    **dict.fromkeys((1001, 1003, 1004, 1005, 1006, 1007, 1008), _KEYS),
    **dict.fromkeys((1002, 1010, 1011, 1012, 1400), _TOKEN),
    1013: Meaning(Action.LATER, "is this machine's clock right?"),
    **dict.fromkeys((1100, 1101, 1102, 1104, 1105, 1109), _CONTENT),
    1103: _LATER,
    **dict.fromkeys((1106, 1114, 2017, 28841002, 28841101, 28841105, 28841106, 28841107), _RIGHTS),
    1108: Meaning(Action.WRONG, "check host and device_id"),
    **dict.fromkeys((1110, 1111, 1112, 1113, 1199), _LATER),
    2001: Meaning(Action.LATER, "the lot's device is offline"),
    **dict.fromkeys((2003, 2008, 2009), _UNKNOWN_COMMAND),
    2010: Meaning(Action.WRONG, "check device_id"),
}
"""By Tuya's code (its global error codes); one that has no row means later."""
OF_STATUS: Final[dict[int, Meaning]] = {
    **dict.fromkeys((400, 413, 422), _CONTENT),
    **dict.fromkeys((401, 403), _KEYS),
    **dict.fromkeys((404, 405, 410, 301, 302, 303, 307, 308), Meaning(Action.WRONG, "check host")),
}
"""By HTTP status, where the answer has no code of Tuya's; one that has no row means later."""


class CallFailed(Exception):
    """A call came to nothing. The text is for people and holds neither secret nor token.

    `answered`: it was the cloud, or a server before it, that said no. `retry_after`: the server's wish, in seconds.
    """

    def __init__(
        self, reason: str, meaning: Meaning = _LATER, *, answered: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{reason}; {meaning.advice}" if meaning.advice else reason)
        self.action = meaning.action
        self.answered = answered
        self.retry_after = retry_after


def result(status: int, content: bytes, *, retry_after: float | None = None) -> Any:
    """The `result` of an answer that says success. Raises CallFailed for every other."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        if status == 200:
            raise CallFailed("the answer is none of Tuya's", retry_after=retry_after)
        raise CallFailed(f"HTTP {status}", OF_STATUS.get(status, _LATER), retry_after=retry_after)
    if answer["success"] and status == 200:
        return answer.get("result")
    code, words = _number(answer.get("code")), _printable(answer.get("msg"))
    if code is None:
        raise CallFailed(f"HTTP {status}: {words}", OF_STATUS.get(status, _LATER), retry_after=retry_after)
    meaning = OF_CODE.get(code)
    if meaning is None:
        meaning = _UNKNOWN_COMMAND if _NOT_SUPPORTED in words.lower() else _LATER
    raise CallFailed(f"code {code}: {words}", meaning, retry_after=retry_after)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:12])
    return value if type(value) is int else None


def _printable(value: object) -> str:
    text = " ".join(str(value or "no words").split())[:_EXCERPT]
    return "".join(sign if sign.isprintable() else "?" for sign in text)
