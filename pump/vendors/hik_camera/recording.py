"""Fields that a recording replaces or keeps where its general rule cannot know (pump/ingest/recording/fields.py)."""

from __future__ import annotations

from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.vendors.common import hik_cid
from pump.vendors.hik_camera import access, codes, device, fields, readings

_PERSONAL: Final = "employeenostring useridstring"
_KEPT: Final = "serialno frontserialno activepostcount eventdescription detectiontarget signalstrength"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()),
    kept=frozenset(_KEPT.split()),
    tables=(codes, hik_cid, access, device, fields, readings),
)
