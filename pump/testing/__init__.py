"""The ground that tests stand on, ours and a vendor's author's: fakes that keep the real interfaces, no mocks."""

from __future__ import annotations

from pump.testing.clock import ManualClock

__all__ = ["ManualClock"]
