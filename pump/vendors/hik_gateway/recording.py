"""Fields that a recording replaces or keeps where its general rule cannot know (pump/ingest/recording/fields.py)."""

from __future__ import annotations

from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.vendors.common import hik_cid
from pump.vendors.hik_gateway import codes, panels

_PERSONAL: Final = "devindex username"
_KEPT: Final = "cidcode eventdescription ciddescribe"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()), kept=frozenset(_KEPT.split()), tables=(codes, hik_cid, panels)
)
