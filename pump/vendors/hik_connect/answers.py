"""What each answer of the vendor means for a queue call, and what its operator can do (document, A.4 and 3.3).

The table has every code of A.4 that login, subscribe, messages and complete can answer with; the others there speak
of persons, cards, areas and devices. A code without a row is told and tried again with backoff.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Action(Enum):
    """What to do after an answer."""

    RETRY = "retry"
    """Ask again, with backoff."""
    LOGIN = "login"
    """Get a new token, once, and ask again."""
    SUBSCRIBE = "subscribe"
    """The queue's subscription is gone: make it anew, tell the gap."""
    POLL = "poll"
    """The batch is unknown: ask for messages again."""
    MISCONFIGURED = "misconfigured"
    """Only a person can mend it: wait long."""


@dataclass(slots=True, frozen=True)
class Answer:
    """One row: what the vendor said and what follows."""

    action: Action
    meaning: str
    advice: str = ""
    """For the operator; empty where waiting is all that can be done."""
    account: bool = False
    """The whole account is concerned, and no queue of it can go on."""

    @property
    def text(self) -> str:
        """Meaning and advice in one line."""
        return f"{self.meaning}: {self.advice}" if self.advice else self.meaning


_SETTINGS: Final = "check event_types and batch_size; if they are right, tell us the code"
_PERMISSION: Final = "give the key's account the permission for this queue in Hik-Connect for Teams"
_KEY: Final = "check app_key against the portal, and that server is the account's own region"

OTHER_CLIENT: Final = "another client seems to use this app key: give each its own, for they take each other's batches"


def _retry(meaning: str, advice: str = "") -> Answer:
    return Answer(Action.RETRY, meaning, advice)


def _login(meaning: str) -> Answer:
    return Answer(Action.LOGIN, meaning, "if it lasts, another program may log in with this key, or the clock is wrong")


def _wrong(meaning: str, advice: str, *, account: bool = False) -> Answer:
    return Answer(Action.MISCONFIGURED, meaning, advice, account)


ANSWERS: Final[dict[str, Answer]] = {
    "OPEN000000": _retry("the vendor has an internal error"),
    "OPEN000001": _wrong("the vendor does not know the app key", _KEY, account=True),
    "OPEN000002": _wrong("the secret key is wrong", "check secret_key", account=True),
    "OPEN000003": _wrong("the key's user does not exist", "ask the vendor's support to renew the key", account=True),
    "OPEN000004": _wrong("the key's system does not exist", _KEY, account=True),
    "OPEN000005": _wrong("the key is not linked with an account", "ask the vendor's support to link it", account=True),
    "OPEN000006": _login("the token has expired"),
    "OPEN000007": _login("the token is refused"),
    "OPEN000008": _retry("a parameter cannot be converted", _SETTINGS),
    "OPEN000009": _retry("the vendor has a network error"),
    "OPEN000010": _retry("a parameter is refused", _SETTINGS),
    "OPEN000011": _retry("the resources are not available yet"),
    "OPEN000012": Answer(Action.POLL, "the batch is unknown", OTHER_CLIENT),
    "OPEN000013": _retry("the queue's position for this key is unknown", "if it lasts, ask the vendor's support"),
    "OPEN000015": _retry("the vendor could not convert a message"),
    "OPEN000016": Answer(
        Action.SUBSCRIBE,
        "the queue is not subscribed",
        "subscriptions end after 2 days without a poll, or when another client cancels them",
    ),
    "OPEN000018": _retry("the Hik-Connect server has an error"),
    "OPEN000019": _retry("the Hik-Connect server answers wrongly"),
    "OPEN000021": _wrong("the account may not see this queue's resources", _PERMISSION),
    "OPEN000022": _wrong("the account may not manage this queue's resources", _PERMISSION),
    "OPEN000023": _retry("the vendor's database cannot be read"),
    "OPEN000024": _retry("too much is asked for at once", _SETTINGS),
    "OPEN000025": _retry("too many records are asked for at once", _SETTINGS),
    "OPEN000029": _retry("the number of messages asked for is refused", _SETTINGS),
    "OPEN000550": _retry("the vendor's request was not answered"),
    "OPEN000552": _retry("the vendor's request was answered with an error"),
    "OPEN300002": _wrong("the secret key is wrong", "check secret_key", account=True),
    "CCF000001": _retry("a parameter is wrong", _SETTINGS),
    "CCF000004": _retry("the vendor's database failed"),
    "CCF000005": _wrong("the account has no permission", _PERMISSION),
    "CCF000007": _retry("an internal call of the vendor failed"),
    "LAP000001": _retry("a parameter is wrong", _SETTINGS),
    "LAP000004": _retry("an internal call of the vendor timed out"),
    "VMS000000": _retry("the vendor has a system error"),
    "VMS000001": _retry("a parameter is wrong", _SETTINGS),
    "VMS000003": _retry("the resource does not exist", _SETTINGS),
    "VMS000004": _retry("the vendor's database failed"),
    "VMS000005": _wrong("the account has no permission", _PERMISSION),
    "VMS000007": _retry("an internal call of the vendor failed"),
    "VMS000008": _retry("the vendor's cache failed"),
    "VMS000009": _retry("another request holds a lock at the vendor", "two clients may use this app key"),
    "VMS001000": _retry("the vendor's gateway has an error"),
    "VMS001001": _retry("the vendor's service is overloaded"),
    "VMS003002": _wrong("the key's user does not exist", "ask the vendor's support to renew the key", account=True),
    "VMS004005": _wrong("the account has no permission", _PERMISSION),
}

_STATUSES: Final[dict[int, Answer]] = {
    401: _login("the token is refused"),
    403: _retry("access is forbidden", "check that no proxy or firewall stands between, and the key's permissions"),
    404: _retry("there is no such call", "check server: it is the account's region, without a path"),
    407: _retry("a proxy wants a password", "check HTTPS_PROXY"),
    413: _retry("the request is too large", _SETTINGS),
    429: Answer(Action.RETRY, "too many requests", "another client may use this app key", account=True),
}
_CLASSES: Final[dict[int, Answer]] = {
    3: _retry("the server sends us elsewhere", "check server: redirects are not followed"),
    4: _retry("the server refuses the request", "check server, and what stands between"),
    5: _retry("the server fails"),
}

GARBAGE: Final = _retry("the answer is no JSON of the vendor's form", "check that no proxy or login page answers")
TOO_LARGE: Final = _retry("the answer is larger than we read", "lower batch_size")
SILENCE: Final = _retry("no answer in time")
CUT_OFF: Final = _retry("the answer broke off")
UNREACHABLE: Final = _retry("the server cannot be reached", "check server, name resolution and the network")
UNTRUSTED: Final = _retry("the server's certificate is not trusted", "check the clock, and who stands between")


def answer_of(code: str) -> Answer:
    """The row of an error code; for one without, a row that says to tell and retry."""
    return ANSWERS.get(code) or _retry("the vendor answers with a code that we do not know", "tell us the code")


def answer_of_status(status: int) -> Answer:
    """The row of an HTTP status other than 200."""
    return _STATUSES.get(status) or _CLASSES.get(status // 100) or _retry("the server answers with a strange status")
