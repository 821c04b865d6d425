"""The spool: the only code that knows its SQL."""

from pump.spool.damage.repair import Repaired
from pump.spool.errors import Fatal, RowRefused
from pump.spool.spool import Spool
from pump.spool.tables.dead_letters import DeadLetter
from pump.spool.tables.fetches import Fetch, FetchQueue
from pump.spool.tables.gaps import Along, Gap, GapChange, GapLedger, Seen
from pump.spool.types import Cursor, GapOpened, Link, Receipt, Row, SpoolSettings

__all__ = [
    "Along", "Cursor", "DeadLetter", "Fatal", "Fetch", "FetchQueue", "Gap", "GapChange", "GapLedger", "GapOpened",
    "Link", "Receipt", "Repaired", "Row", "RowRefused", "Seen", "Spool", "SpoolSettings",
]  # fmt: skip
