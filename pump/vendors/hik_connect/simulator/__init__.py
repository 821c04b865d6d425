"""A simulated server of Hik-Connect for Teams."""

from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.playing.play import Asked, Gate, Given, Play
from pump.vendors.hik_connect.simulator.account import Account
from pump.vendors.hik_connect.simulator.api import Api, failure
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.rules import LOGIN, Refused
from pump.vendors.hik_connect.simulator.server import Simulator, simulate

__all__ = ["ACCOUNT", "PLAY", "Simulator", "simulate"]

ACCOUNT: Final[dict[str, Any]] = {"server": "{url}", "app_key": "ak", "secret_key": "sk"}
"""What a source's table wants to reach it: "{url}" is its address."""


def _gate(clock: Clock) -> Gate:
    """The simulator's login, whose tokens let in whatever is played."""
    account = Account()
    api = Api(account, Quirks(), clock, ACCOUNT["app_key"], ACCOUNT["secret_key"], LogQuirks())
    json = {"Content-Type": "application/json"}

    def check(asked: Asked) -> Given | None:
        api.area_domain = asked.url
        if asked.target != LOGIN:
            known = asked.headers.get("Token") in account.tokens
            return None if known else Given(200, json, failure("OPEN000007"))
        try:
            return Given(200, json, api.call(LOGIN, asked.headers.get("Content-Type"), None, asked.body))
        except Refused as refusal:
            return Given(200, json, failure(refusal.code))

    return check


PLAY: Final = Play(
    gate=_gate,
    rest={
        "/mq/messages": b'{"data": {"batchId": "0", "remainingNumber": 0}, "errorCode": "0"}',
        "/mq/complete": b'{"errorCode": "0"}',
        "/mq/subscribe": b'{"errorCode": "0"}',
    },
)
