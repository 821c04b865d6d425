"""What the simulated vendor does with a call that reaches it: login, subscribe, messages, complete. No sockets."""

from __future__ import annotations

import secrets
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.account import QUEUES, TOKEN_LIFE, Account, Queue, QueueName
from pump.vendors.hik_connect.simulator.clips import CALLS as CLIPPED
from pump.vendors.hik_connect.simulator.clips import Clips
from pump.vendors.hik_connect.simulator.doings import CALLS as COMMANDS
from pump.vendors.hik_connect.simulator.doings import Doings
from pump.vendors.hik_connect.simulator.logs import CALLS as LOGGED
from pump.vendors.hik_connect.simulator.logs import Logs
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.rules import (
    DEFAULT_BATCH_SIZE,
    LOGIN,
    MESSAGES,
    Refused,
    body,
    decode,
    media_type,
)

_USER: Final = "8a7485aa7f209dd5017f2141adff0019"


class Api:
    """The vendor's side of one account. `area_domain` is what the login answers."""

    def __init__(
        self, account: Account, quirks: Quirks, clock: Clock, app_key: str, secret_key: str, habits: LogQuirks
    ) -> None:
        self.account = account
        self.logs = Logs(clock, quirks, habits)
        self.doings = Doings(clock)
        self.clips = Clips(clock)
        self.taken: list[tuple[str, str, dict[str, Any]]] = []
        """Method, path and parameters of the documented calls that are not played."""
        self._habits = habits
        self.area_domain = ""
        self._quirks = quirks
        self._clock = clock
        self._app_key = app_key
        self._secret_key = secret_key

    @property
    def empties(self) -> bool:
        """Whether a queue whose subscription ends loses what waits in it."""
        return self._quirks.lost_subscription == "empties"

    def call(self, path: str, content_type: str | None, token: str | None, content: bytes) -> bytes:
        """The answer to a POST of one of the paths in RULES. Raises Refused."""
        media_type(content_type)
        if path != LOGIN:
            self._check_token(token)
        spelled = {"searchCriteria": self._habits.search_criteria}
        given = body(path, content, strict=self._quirks.unknown_fields == "refused", spelled=spelled)
        if (read := LOGGED.get(path)) is not None:
            answer = self.success(orjson.dumps(read(self.logs, given)))
            self.logs.asked[path.rpartition("/api/hccgw/")[2]] += 1
            return answer
        if (order := COMMANDS.get(path)) is not None:
            data = order(self.doings, given)
            return self.success(None if data is None else orjson.dumps(data))
        if (asked := CLIPPED.get(path)) is not None:
            return self.success(orjson.dumps(asked(self.clips, given)))
        name = queue_of(path)
        if name is None:
            return self._login(given)
        queue = self.account.queues[name]
        action = path.rpartition("/")[2]
        if action == "subscribe":
            return self._subscribe(queue, given)
        now = self._clock.monotonic()
        if not queue.alive(now, empty=self.empties):
            raise Refused("OPEN000016", f"{name} is not subscribed")
        if action == "messages":
            limit = self._quirks.rawmsg_batch if name == "rawmsg" else given.get("maxNumberPerTime")
            return self._messages(queue, limit or DEFAULT_BATCH_SIZE, now)
        return self._complete(queue, given["batchId"], now)

    def take(self, method: str, path: str, content_type: str | None, token: str | None, content: bytes) -> bytes:
        """The answer to a documented call that is not played; `taken` has it from now on. Raises Refused."""
        if method == "POST":
            media_type(content_type)
        self._check_token(token)
        self.taken.append((method, path, decode(content) if method == "POST" else {}))
        return self.success(b"{}")

    def success(self, data: bytes | None = None) -> bytes:
        """The envelope of 3.3 around `data`, which is JSON."""
        code = b"0" if self._quirks.error_code == "number" else b'"0"'
        return (b"{" if data is None else b'{"data":' + data + b",") + b'"errorCode":' + code + b"}"

    def _check_token(self, token: str | None) -> None:
        if token is None:
            raise Refused("OPEN000010", "the Token header is missing")
        expires = self.account.tokens.get(token)
        if expires is None:
            raise Refused("OPEN000007", "the token is unknown")
        if self._clock.monotonic() >= expires:
            raise Refused("OPEN000006", "the token is expired")

    def _login(self, given: dict[str, Any]) -> bytes:
        if given["appKey"] != self._app_key:
            raise Refused("OPEN000001", "the AK is unknown")
        if str(given["secretKey"]) != self._secret_key:
            raise Refused(self._quirks.wrong_secret, "the SK is wrong")
        now = self._clock.monotonic()
        tokens = self.account.tokens
        alive = [token for token, expires in tokens.items() if now < expires]
        if self._quirks.login == "replaces":
            self.account.expire_tokens(now)
        token = alive[-1] if alive and self._quirks.login == "same" else f"hcc.{secrets.token_hex(16)}"
        tokens[token] = now + TOKEN_LIFE
        self.account.logins += 1
        expires = self._clock.now_ms() // 1000 + int(TOKEN_LIFE)
        data = {
            "accessToken": token,
            "expireTime": str(expires) if self._quirks.expire_time == "text" else expires,
            "userId": _USER,
            "areaDomain": self.area_domain,
        }
        return self.success(orjson.dumps(data))

    def _subscribe(self, queue: Queue, given: dict[str, Any]) -> bytes:
        if given["subscribeType"] == 0:
            queue.unsubscribe(empty=self.empties)
            return self.success()
        listed = given.get("eventType" if queue.name == "alarm" else "msgType")
        if queue.name == "alarm" and given["subscribeMode"] == 0:
            listed = None
        elif queue.name == "alarm" and not listed:
            raise Refused("OPEN000010", "eventType is missing though subscribeMode is 1")
        queue.subscribe(frozenset(map(str, listed)) if listed else None, self._clock.monotonic())
        return self.success()

    def _messages(self, queue: Queue, limit: int, now: float) -> bytes:
        quirks = self._quirks
        batch_id: str
        listed: str | bytes
        batch = queue.pull(limit, now)
        if batch is None:
            batch_id, listed = quirks.empty_batch_id, quirks.empty_list
        else:
            if quirks.links_signed == "at every answer":
                batch.sign()
            batch_id, listed = batch.id, batch.body
        if batch_id not in ("absent", "null"):
            batch_id = f'"{batch_id}"'
        remaining = {"number": f"{queue.remaining}", "text": f'"{queue.remaining}"'}.get(quirks.remaining, "absent")
        key = {"alarm": quirks.alarm_list, "combine": quirks.combine_list, "rawmsg": quirks.rawmsg_list}[queue.name]
        members = (
            b'"%b":%b' % (name.encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in (("batchId", batch_id), ("remainingNumber", remaining), (key, listed))
            if value != "absent"
        )
        return self.success(b"{" + b",".join(members) + b"}")

    def _complete(self, queue: Queue, batch_id: str, now: float) -> bytes:
        if not queue.complete(batch_id, now):
            raise Refused("OPEN000012", "no batch" if batch_id in ("", "0") else "the batch is unknown")
        return self.success()


def failure(code: str) -> bytes:
    """The envelope of a refusal (3.3), with the words of A.4 where they are known."""
    return orjson.dumps({"message": f"{MESSAGES.get(code, 'Error')}{{{code}}}", "errorCode": code})


def queue_of(path: str) -> QueueName | None:
    """The queue whose path this is."""
    return next((name for name in QUEUES if path.startswith(f"/api/hccgw/{name}/v1/mq/")), None)
