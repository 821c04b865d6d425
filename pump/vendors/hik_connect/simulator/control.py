"""What no vendor has: paths by which another process fills, harms and audits a simulator.

    GET    /_simulator/account         the account as JSON (Account.report); ?lists=no gives numbers for the long lists
    POST   /_simulator/audit           {"events": [...]} that a pump made of the records; answers {"wrong": [sentences]}
    POST   /_simulator/put             {"queue": "combine", "records": [...]}: the records arrive in this order
    POST   /_simulator/make            {"queue": "combine", "n": 500, "kind": "mix"}: made, and put unless "put": false
    POST   /_simulator/fault           a Fault's fields, or a list of such: {"kind": "delay", "seconds": 3, "times": 2}
    GET    /_simulator/fault           the faults that wait, and how many of each kind were done
    DELETE /_simulator/fault           forgets the faults that wait

put and make answer {"identities": [...]}, make without putting {"records": [...]}. What is wrong is answered 400 with
a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from pump.vendors.hik_connect.simulator.audit import audit
from pump.vendors.hik_connect.simulator.faults import Fault

if TYPE_CHECKING:
    from pump.vendors.hik_connect.simulator.server import Simulator

PREFIX: Final = "/_simulator/"


async def control(simulator: Simulator, request: web.BaseRequest) -> web.Response:
    """Answers a request below PREFIX."""
    action = _ACTIONS.get((request.method, request.path.removeprefix(PREFIX)))
    if action is None:
        return _json({"error": "no such path; see pump.vendors.hik_connect.simulator.control"}, status=404)
    body = await request.content.read()
    try:
        return _json(action(simulator, request, orjson.loads(body) if body else {}))
    except (KeyError, TypeError, ValueError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, status=400)


def _account(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    return simulator.account.report(lists=request.query.get("lists") != "no") | {"faults": dict(simulator.faults.done)}


def _audit(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    return {"wrong": audit(simulator.account, given["events"])}


def _put(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    return {"identities": simulator.put(given["queue"], *given["records"])}


def _make(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    records = simulator.make(given["queue"], given["n"], given.get("kind", "mix"))
    if not given.get("put", True):
        return {"records": records}
    return {"identities": simulator.put(given["queue"], *records)}


def _push(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    simulator.faults.push(*(Fault(**one) for one in (given if isinstance(given, list) else [given])))
    return _faults(simulator, request, given)


def _faults(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    return {"waiting": [asdict(fault) for fault in simulator.faults.waiting], "done": dict(simulator.faults.done)}


def _forget(simulator: Simulator, request: web.BaseRequest, given: Any) -> Any:
    simulator.faults.clear()
    return _faults(simulator, request, given)


_ACTIONS: Final[dict[tuple[str, str], Callable[[Simulator, web.BaseRequest, Any], Any]]] = {
    ("GET", "account"): _account,
    ("POST", "audit"): _audit,
    ("POST", "put"): _put,
    ("POST", "make"): _make,
    ("POST", "fault"): _push,
    ("GET", "fault"): _faults,
    ("DELETE", "fault"): _forget,
}


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
