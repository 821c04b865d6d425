"""The time spent listening: kept over runs, and believed only as it was written."""

from __future__ import annotations

from pathlib import Path

from pump.ingest.listening import STANDSTILL, Listening
from pump.testing import ManualClock


def test_a_listening_time_with_a_flipped_byte_is_not_believed_and_one_without_a_checksum_is(tmp_path: Path) -> None:
    path, clock = tmp_path / "listened-gate", ManualClock()
    listening = Listening(clock, path, 12345.5)
    with listening.going_on():
        clock.advance(STANDSTILL)
    whole = path.read_bytes()
    assert Listening(clock, path, 0.0).looked == 12345.5 + STANDSTILL
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert Listening(clock, path, 0.0).looked == 0.0, place
    path.write_bytes(whole[:8])
    assert Listening(clock, path, 0.0).looked == 12345.5 + STANDSTILL, "an older version's"
