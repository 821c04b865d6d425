"""What each answer of the REST API means, and what its operator can do.

Two tables, for two parties answer: Kinot's own servers with a `code` in the body (docs/field.md), and before them
Alibaba's API gateway with X-Ca-Error-Message, of which the words before the first comma or colon are fixed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Action(Enum):
    """What follows an answer."""

    RETRY = "retry"
    """Ask again, with backoff."""
    SKIP = "skip"
    """This thing is not there; go on with the next."""
    MISCONFIGURED = "misconfigured"
    """Only a person can mend it: wait long."""


@dataclass(slots=True, frozen=True)
class Answer:
    """One row: what was said, what follows, what the operator can do."""

    action: Action
    meaning: str
    advice: str = ""

    @property
    def text(self) -> str:
        """Meaning and advice in one line."""
        return f"{self.meaning}: {self.advice}" if self.advice else self.meaning


def _retry(meaning: str, advice: str = "") -> Answer:
    return Answer(Action.RETRY, meaning, advice)


def _wrong(meaning: str, advice: str) -> Answer:
    return Answer(Action.MISCONFIGURED, meaning, advice)


_KEY: Final = "check app_key and app_secret, also for spaces around them"
_SERVER: Final = "check server"
_CLOCK: Final = "set this machine's clock; the gateway allows 15 minutes"
_OWNER: Final = "ask Kinot"
_FLOW: Final = "fewer calls are allowed than we make; raise snapshot if it lasts"

CODES: Final[dict[str, Answer]] = {
    "10000": _retry("Kinot has an internal error"),
    "10012": _retry("Kinot refuses the body or the query", "tell us, with the log"),
    "10013": _retry("Kinot refuses the path", _SERVER),
    "10016": _retry("Kinot does not know this API", _SERVER),
    "10111": Answer(Action.SKIP, "Kinot has no such record", "check the number"),
}
"""`code` of an answer's body; 0 is success."""

MESSAGES: Final[dict[str, Answer]] = {
    "invalid signature": _wrong("the API gateway refuses the signature", "check app_secret; the log has both strings"),
    "invalid appkey": _wrong("the API gateway does not know the app key", _KEY),
    "invalid appsecret": _wrong("the API gateway refuses the secret", _KEY),
    "empty signature": _wrong("the API gateway misses the signature", "does a proxy on the way remove headers?"),
    "unauthorized": _wrong("the app key may not call this API", "ask Kinot to authorise it"),
    "invalid domain": _wrong("the API gateway does not know this host", _SERVER),
    "invalid url": _wrong("the API gateway does not know this path", _SERVER),
    "api not found": _wrong("the API gateway does not know this path", _SERVER),
    "quota exhausted": _wrong("the bought number of calls is used up", _OWNER),
    "quota expired": _wrong("the bought calls have expired", _OWNER),
    "user arrears": _wrong("Kinot's account with Alibaba is in arrears", _OWNER),
    "timestamp expired": _retry("the API gateway finds our time stamp too old or too new", _CLOCK),
    "invalid timestamp": _retry("the API gateway refuses our time stamp", _CLOCK),
    "nonce used": _retry("the API gateway has seen this request already"),
    "invalid content-md5": _retry("the body was changed on its way", "does a proxy stand between?"),
    "throttled by": _retry("the API gateway slows us down", _FLOW),
    "tthrottled by": _retry("the API gateway slows us down", _FLOW),  # so printed, and so sent
    "internal error": _retry("the API gateway has an internal error"),
    "failed to invoke backend service": _retry("the API gateway does not reach Kinot"),
    "service unavailable": _retry("the API gateway is not available"),
    "async service": _retry("Kinot does not answer the API gateway in time"),
}
"""How X-Ca-Error-Message begins, in small letters."""

_STATUSES: Final[dict[int, Answer]] = {
    401: _wrong("the server wants another login", _SERVER),
    403: _wrong("the server forbids it", "check server, and that the app key may call this API"),
    404: _retry("nothing is at this address", _SERVER),
    408: _retry("the server waited too long for our request"),
    429: _retry("the server is asked too often", _FLOW),
}
_CLASSES: Final[dict[int, Answer]] = {
    3: _wrong("the server sends us elsewhere", _SERVER),
    4: _retry("the server refuses the request"),
    5: _retry("the server has an error"),
}

NOT_JSON: Final = _retry("the answer is not of the vendor's form", "check server, and for a proxy between")
TOO_LARGE: Final = _retry("the answer is larger than we read")
SILENCE: Final = _retry("no answer in time")
CUT_OFF: Final = _retry("the answer broke off")
UNREACHABLE: Final = _retry("the server cannot be reached", "check server, name resolution and the network")
UNTRUSTED: Final = _retry("the server's certificate is not trusted", "check the clock, and who stands between")
_UNKNOWN: Final = _retry("Kinot answers with a code that we do not know", "tell us the code")
_STRANGE: Final = _retry("the server answers with a strange status")

_SPLIT: Final = re.compile(r"[,:`]")


def answer_of(code: str) -> Answer:
    """The row of a body's code; for one without, a row that says to retry."""
    return CODES.get(code, _UNKNOWN)


def answer_of_status(status: int, message: str) -> Answer:
    """The row of the gateway's message where it sends one, else of the HTTP status."""
    plain = _SPLIT.split(message.strip().lower(), maxsplit=1)[0].strip()
    found = MESSAGES.get(plain) or next((row for words, row in MESSAGES.items() if plain.startswith(words)), None)
    return found or _STATUSES.get(status) or _CLASSES.get(status // 100) or _STRANGE
