"""The vendor's answers: their JSON, and the meaning of their codes for a queue call (document, A.4 and 3.3).

The table has every code of A.4 that login, subscribe, messages and complete can answer with; the others there speak
of persons, cards, areas and devices. A code without a row is logged, and the call tried again with backoff.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from msgspec import MsgspecError, Raw, Struct, json

from pump.core.errors import MessageError
from pump.vendors.common.api import Action, Answer, retry, wrong
from pump.vendors.common.json_repair import JsonReader

_SETTINGS: Final = "check event_types and batch_size; if they are right, tell us the code"
_PERMISSION: Final = "give the key's account the permission for this queue in Hik-Connect for Teams"
_KEY: Final = "check app_key against the portal, and that server is the account's own region"

OTHER_CLIENT: Final = "another client seems to use this app key: give each its own, for they take each other's batches"


def _login(meaning: str) -> Answer:
    return Answer(Action.LOGIN, meaning, "if it lasts, another program may log in with this key, or the clock is wrong")


ANSWERS: Final[dict[str, Answer]] = {
    "OPEN000000": retry("the vendor has an internal error"),
    "OPEN000001": wrong("the vendor does not know the app key", _KEY, account=True),
    "OPEN000002": wrong("the secret key is wrong", "check secret_key", account=True),
    "OPEN000003": wrong("the key's user does not exist", "ask the vendor's support to renew the key", account=True),
    "OPEN000004": wrong("the key's system does not exist", _KEY, account=True),
    "OPEN000005": wrong("the key is not linked with an account", "ask the vendor's support to link it", account=True),
    "OPEN000006": _login("the token has expired"),
    "OPEN000007": _login("the token is refused"),
    "OPEN000008": retry("a parameter cannot be converted", _SETTINGS),
    "OPEN000009": retry("the vendor has a network error"),
    "OPEN000010": retry("a parameter is refused", _SETTINGS),
    "OPEN000011": retry("the resources are not available yet"),
    "OPEN000012": Answer(Action.POLL, "the batch is unknown", OTHER_CLIENT),
    "OPEN000013": retry("the queue's position for this key is unknown", "if it lasts, ask the vendor's support"),
    "OPEN000015": retry("the vendor could not convert a message"),
    "OPEN000016": Answer(
        Action.SUBSCRIBE,
        "the queue is not subscribed",
        "subscriptions end after 2 days without a poll, or when another client cancels them",
    ),
    "OPEN000018": retry("the Hik-Connect server has an error"),
    "OPEN000019": retry("the Hik-Connect server answers wrongly"),
    "OPEN000021": wrong("the account may not see this queue's resources", _PERMISSION),
    "OPEN000022": wrong("the account may not manage this queue's resources", _PERMISSION),
    "OPEN000023": retry("the vendor's database cannot be read"),
    "OPEN000024": retry("too much is asked for at once", _SETTINGS),
    "OPEN000025": retry("too many records are asked for at once", _SETTINGS),
    "OPEN000029": retry("the number of messages asked for is refused", _SETTINGS),
    "OPEN000550": retry("the vendor's request was not answered"),
    "OPEN000552": retry("the vendor's request was answered with an error"),
    "OPEN300002": wrong("the secret key is wrong", "check secret_key", account=True),
    "CCF000001": retry("a parameter is wrong", _SETTINGS),
    "CCF000004": retry("the vendor's database failed"),
    "CCF000005": wrong("the account has no permission", _PERMISSION),
    "CCF000007": retry("an internal call of the vendor failed"),
    "LAP000001": retry("a parameter is wrong", _SETTINGS),
    "LAP000004": retry("an internal call of the vendor timed out"),
    "VMS000000": retry("the vendor has a system error"),
    "VMS000001": retry("a parameter is wrong", _SETTINGS),
    "VMS000003": retry("the resource does not exist", _SETTINGS),
    "VMS000004": retry("the vendor's database failed"),
    "VMS000005": wrong("the account has no permission", _PERMISSION),
    "VMS000007": retry("an internal call of the vendor failed"),
    "VMS000008": retry("the vendor's cache failed"),
    "VMS000009": retry("another request holds a lock at the vendor", "two clients may use this app key"),
    "VMS001000": retry("the vendor's gateway has an error"),
    "VMS001001": retry("the vendor's service is overloaded"),
    "VMS003002": wrong("the key's user does not exist", "ask the vendor's support to renew the key", account=True),
    "VMS004005": wrong("the account has no permission", _PERMISSION),
}

_STATUSES: Final[dict[int, Answer]] = {
    401: _login("the token is refused"),
    403: retry("access is forbidden", "check that no proxy or firewall stands between, and the key's permissions"),
    404: retry("there is no such call", "check server: it is the account's region, without a path"),
    407: retry("a proxy wants a password", "check HTTPS_PROXY"),
    413: retry("the request is too large", _SETTINGS),
    429: Answer(Action.RETRY, "too many requests", "another client may use this app key", account=True),
}
_CLASSES: Final[dict[int, Answer]] = {
    3: retry("the server sends us elsewhere", "check server: redirects are not followed"),
    4: retry("the server refuses the request", "check server, and what stands between"),
    5: retry("the server fails"),
}

GARBAGE: Final = retry("the answer is no JSON of the vendor's form", "check that no proxy or login page answers")
TOO_LARGE: Final = retry("the answer is larger than we read", "lower batch_size")


def answer_of(code: str) -> Answer:
    """The row of an error code; for one without, a row that says to report it and retry."""
    return ANSWERS.get(code) or retry("the vendor answers with a code that we do not know", "tell us the code")


def answer_of_status(status: int) -> Answer:
    """The row of an HTTP status other than 200."""
    return _STATUSES.get(status) or _CLASSES.get(status // 100) or retry("the server answers with a strange status")


# --- their JSON -----------------------------------------------------------------------------------------------------

_JSON: Final = JsonReader(integer=int, constant=float)
_NULL: Final = Raw(b"null")
_BATCH: Final = re.compile(rb'"batchId"\s*:\s*"([^"\\\x00-\x1f]{1,256})"')
_SUCCESS: Final = re.compile(rb'"errorCode"\s*:\s*"?0"?\s*[,}]')


def decode(content: bytes) -> Any:
    """The value of the bytes; None where they are none.

    Bytes that are no UTF-8, control characters within texts and halves of surrogate pairs come with devices' own
    names now and then. They must cost a character, not the batch they are in, which would come again for ever. So
    must a number without bounds: the record that holds it is kept apart.
    """
    try:
        return _JSON.loads(content)
    except MessageError:
        return None


class _Data(Struct):
    """The part of a messages answer that is asked for; the records' list goes by one of three names."""

    batchId: Raw = _NULL  # the vendor's names
    remainingNumber: Raw = _NULL
    alarmMsg: list[Raw] | None = None
    events: list[Raw] | None = None
    event: list[Raw] | None = None


class _Messages(Struct):
    data: _Data
    errorCode: Raw = _NULL


class _Said(Struct, omit_defaults=True):
    """The fields of a record by which marks are numbered (`marks`)."""

    guid: Raw = _NULL
    msgType: Raw = _NULL
    alarmState: Raw = _NULL
    markState: Raw = _NULL
    affirmedState: Raw = _NULL
    timeInfo: Raw = _NULL
    startTime: Raw = _NULL


_ANSWERS: Final = json.Decoder(_Messages)
_HEADS: Final = json.Decoder(_Said)
_LISTS: Final = ("alarmMsg", "events", "event")


def sliced(content: bytes) -> Any:
    """As `decode`, of a messages answer; but its records are still in their bytes (`Raw`), to be `read` one by one.

    500 of them read together are 5 MB of small objects, which are out of the processor's cache before they are used,
    and again before they are thrown away.
    """
    try:
        answer = _ANSWERS.decode(content)
        data: dict[str, Any] = {name: found for name in _LISTS if (found := getattr(answer.data, name))}
        if data:
            data |= {"batchId": read(answer.data.batchId), "remainingNumber": read(answer.data.remainingNumber)}
            return {"errorCode": read(answer.errorCode), "data": data}
    except (MsgspecError, RecursionError):
        pass  # it is of another form, or must be mended
    return decode(content)


def read(record: object) -> Any:
    """A record of what `sliced` or `decode` gave, mended where it must be; of what cannot be mended its text."""
    if type(record) is not Raw:
        return record
    try:
        return orjson.loads(memoryview(record))
    except orjson.JSONDecodeError:
        content = bytes(record)
        value = decode(content)
        return content.decode("utf-8", "replace") if value is None else value


def said(records: list[Any]) -> list[Any]:
    """The records, read no farther than `Marks.begin` looks: with those fields alone that it knows."""
    if records and type(records[0]) is Raw:
        try:
            records = orjson.loads(json.encode([_HEADS.decode(record) for record in records]))
        except (MsgspecError, RecursionError, orjson.JSONDecodeError):  # not all are objects, or one must be mended
            records = [read(record) for record in records]
    return records


def batch_id(value: object) -> str | None:
    """The id to complete a batch with; None where there is none: "0" and the empty text stand for an empty queue."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value.strip() not in ("", "0") else None


def find_batch_id(content: bytes) -> str | None:
    """The batch id in an answer that is no JSON and yet seems whole; None where there is none, or more than one.

    Half an answer must never do, for its batch would be completed with the other half unread: it lacks the braces
    that close it.
    """
    whole = content.rstrip().endswith(b"}") and content.count(b"{") == content.count(b"}") and _SUCCESS.search(content)
    found = set(_BATCH.findall(content)) if whole else set()
    return batch_id(found.pop().decode("utf-8", "replace")) if len(found) == 1 else None
