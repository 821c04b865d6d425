"""The spool: the only code that knows its SQL."""

from pump.spool.damage.repair import Repaired
from pump.spool.errors import Fatal, NewerSpool, RowRefused, not_opened
from pump.spool.gaps.along import Along
from pump.spool.gaps.ledger import Gap, GapChange, GapLedger
from pump.spool.gaps.sightings import Seen
from pump.spool.spool import Spool
from pump.spool.tables.dead_letters import DeadLetter
from pump.spool.tables.fetches import Fetch, FetchQueue
from pump.spool.types import Cursor, GapOpened, Link, Receipt, Row, SpoolSettings

__all__ = [
    "Along", "Cursor", "DeadLetter", "Fatal", "Fetch", "FetchQueue", "Gap", "GapChange", "GapLedger", "GapOpened",
    "Link", "NewerSpool", "Receipt", "Repaired", "Row", "RowRefused", "Seen", "Spool", "SpoolSettings", "not_opened",
]  # fmt: skip
