"""The spool: the only code that knows its SQL."""

from pump.spool.dead_letters import DeadLetter
from pump.spool.errors import Fatal, RowRefused
from pump.spool.fetches import Fetch, FetchQueue
from pump.spool.repair import Repaired
from pump.spool.spool import Spool
from pump.spool.types import Cursor, Link, Receipt, Row, SpoolSettings

__all__ = [
    "Cursor", "DeadLetter", "Fatal", "Fetch", "FetchQueue", "Link", "Receipt", "Repaired", "Row", "RowRefused", "Spool",
    "SpoolSettings",
]  # fmt: skip
