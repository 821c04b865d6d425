"""Fields that a recording replaces or keeps where its general rule cannot know (pump/ingest/recording/fields.py)."""

from __future__ import annotations

from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.vendors.kinot import codes

_PERSONAL: Final = "sn btmac guid"
_KEPT: Final = "sw hw firmware code count"

FIELDS: Final = RecordedFields(personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes,))
