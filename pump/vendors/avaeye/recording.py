"""Fields that a recording replaces or keeps where its general rule cannot know (pump/ingest/recording/fields.py)."""

from __future__ import annotations

from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.vendors.avaeye import carried, codes, lapi, mqtt

_PERSONAL: Final = "ownername parkid deviceid recordid requestid"
_KEPT: Final = "vehiclelogotype vehiclebrandtype resolution"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes, carried, lapi, mqtt)
)
