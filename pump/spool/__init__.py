"""The spool: the only code that knows its SQL."""

from pump.spool.dead import DeadLetter
from pump.spool.faults import Fatal, RowRefused
from pump.spool.repair import Repaired
from pump.spool.rows import Cursor, Receipt, Row
from pump.spool.settings import SpoolSettings
from pump.spool.spool import Spool

__all__ = ["Cursor", "DeadLetter", "Fatal", "Receipt", "Repaired", "Row", "RowRefused", "Spool", "SpoolSettings"]
