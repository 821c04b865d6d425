"""The spool: the only code that knows its SQL."""

from pump.spool.dead_letters import DeadLetter
from pump.spool.errors import Fatal, RowRefused
from pump.spool.gaps.along import Along
from pump.spool.gaps.ledger import Gap, GapChange, GapLedger
from pump.spool.gaps.sightings import Seen
from pump.spool.repair import Repaired
from pump.spool.spool import Spool
from pump.spool.types import Cursor, GapOpened, Receipt, Row, SpoolSettings

__all__ = [
    "Along",
    "Cursor",
    "DeadLetter",
    "Fatal",
    "Gap",
    "GapChange",
    "GapLedger",
    "GapOpened",
    "Receipt",
    "Repaired",
    "Row",
    "RowRefused",
    "Seen",
    "Spool",
    "SpoolSettings",
]
