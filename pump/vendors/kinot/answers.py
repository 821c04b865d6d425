"""The meaning of each answer of the REST API, and what an operator can do about it.

Two tables, for two parties answer: Kinot's own servers with a `code` in the body (docs/field.md), and before them
Alibaba's API gateway with X-Ca-Error-Message, of which the words before the first comma or colon are fixed.
"""

from __future__ import annotations

import re
from typing import Final

from pump.vendors.common.api import Action, Answer, retry, wrong

_KEY: Final = "check app_key and app_secret, also for spaces around them"
_SERVER: Final = "check server"
_CLOCK: Final = "set this machine's clock; the gateway allows 15 minutes"
_OWNER: Final = "ask Kinot"
_FLOW: Final = "fewer calls are allowed than we make; raise snapshot if it lasts"

CODES: Final[dict[str, Answer]] = {
    "10000": retry("Kinot has an internal error"),
    "10012": retry("Kinot refuses the body or the query", "tell us, with the log"),
    "10013": retry("Kinot refuses the path", _SERVER),
    "10016": retry("Kinot does not know this API", _SERVER),
    "10111": Answer(Action.SKIP, "Kinot has no such record", "check the number"),
}
"""`code` of an answer's body; 0 is success."""

MESSAGES: Final[dict[str, Answer]] = {
    "invalid signature": wrong("the API gateway refuses the signature", "check app_secret; the log has both strings"),
    "invalid appkey": wrong("the API gateway does not know the app key", _KEY),
    "invalid appsecret": wrong("the API gateway refuses the secret", _KEY),
    "empty signature": wrong("the API gateway misses the signature", "does a proxy on the way remove headers?"),
    "unauthorized": wrong("the app key may not call this API", "ask Kinot to authorise it"),
    "invalid domain": wrong("the API gateway does not know this host", _SERVER),
    "invalid url": wrong("the API gateway does not know this path", _SERVER),
    "api not found": wrong("the API gateway does not know this path", _SERVER),
    "quota exhausted": wrong("the bought number of calls is used up", _OWNER),
    "quota expired": wrong("the bought calls have expired", _OWNER),
    "user arrears": wrong("Kinot's account with Alibaba is in arrears", _OWNER),
    "timestamp expired": retry("the API gateway finds our time stamp too old or too new", _CLOCK),
    "invalid timestamp": retry("the API gateway refuses our time stamp", _CLOCK),
    "nonce used": retry("the API gateway has seen this request already"),
    "invalid content-md5": retry("the body was changed on its way", "does a proxy stand between?"),
    "throttled by": retry("the API gateway slows us down", _FLOW),
    "tthrottled by": retry("the API gateway slows us down", _FLOW),  # so printed, and so sent
    "internal error": retry("the API gateway has an internal error"),
    "failed to invoke backend service": retry("the API gateway does not reach Kinot"),
    "service unavailable": retry("the API gateway is not available"),
    "async service": retry("Kinot does not answer the API gateway in time"),
}
"""How X-Ca-Error-Message begins, in small letters."""

_STATUSES: Final[dict[int, Answer]] = {
    401: wrong("the server wants another login", _SERVER),
    403: wrong("the server forbids it", "check server, and that the app key may call this API"),
    404: retry("nothing is at this address", _SERVER),
    408: retry("the server waited too long for our request"),
    429: retry("the server is asked too often", _FLOW),
}
_CLASSES: Final[dict[int, Answer]] = {
    3: wrong("the server sends us elsewhere", _SERVER),
    4: retry("the server refuses the request"),
    5: retry("the server has an error"),
}

NOT_JSON: Final = retry("the answer is not of the vendor's form", "check server, and for a proxy between")
TOO_LARGE: Final = retry("the answer is larger than we read")
_UNKNOWN: Final = retry("Kinot answers with a code that we do not know", "tell us the code")
_STRANGE: Final = retry("the server answers with a strange status")

_SPLIT: Final = re.compile(r"[,:`]")


def answer_of(code: str) -> Answer:
    """The row of a body's code; for one without, a row that says to retry."""
    return CODES.get(code, _UNKNOWN)


def answer_of_status(status: int, message: str) -> Answer:
    """The row of the gateway's message where it sends one, else of the HTTP status."""
    plain = _SPLIT.split(message.strip().lower(), maxsplit=1)[0].strip()
    found = MESSAGES.get(plain) or next((row for words, row in MESSAGES.items() if plain.startswith(words)), None)
    return found or _STATUSES.get(status) or _CLASSES.get(status // 100) or _STRANGE
