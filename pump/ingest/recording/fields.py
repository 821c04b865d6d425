"""The rule that decides what a recording keeps of a message, by the name of a field and by its value.

In this order: a name that is a secret's in any vendor's language; the vendor's own table; names of what is personal
everywhere; names of what is an enumeration; then the value itself. What none of them knows is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Final

_SECRET: Final = re.compile(
    r"passw|passphrase|pwd|secret|token|signature|cookie|authori[sz]ation|credential|session|nonce|accesskey|appkey|"
    r"apikey|privatekey|matchcode|registercode|verif\w*code|validat\w*code|checkcode|devicecode|pincode|"
    r"^(?:sign|pin|key|auth|code?word)$"
)
_PERSONAL: Final = re.compile(
    r"(?:plate|plateno|platenum|platenumber|licenseplate|originallicenseplate|license|card|cardno|cardnum|cardnumber|"
    r"phone|mobile|tel|telephone|fax|mail|email|address|addr|mac|macaddress|ip|ipaddress|ipaddr|host|hostname|sn|imei|"
    r"imsi|iccid|uuid|guid|name|owner|driver|person|user|username|userid|userno|employeeno|employeenostring|birthday|"
    r"birthdate|birth|longitude|latitude|lng|lat|lon|idcard|idcardno|idnumber|remark|remarks|comment|memo|"
    r"(?:device|dev|camera|cam|park|lot|site|org|account|person|group|gateway|record|request|ehome)"
    r"(?:id|no|index|sn|code))"
)
_ENUMERATED: Final = re.compile(
    r"\w*(?:type|types|state|status|mode|kind|level|result|version|format|unit|color|colour|direction|method|"
    r"phase|protocol|category|priority|encoding|severity|errorcode|statuscode|eventcode|cidcode|substatuscode)"
)
_LIKELY: Final = re.compile(
    r"\w*(?:name|plate|address|addr|serial|serialno|serialnum|serialnumber|uuid|guid|mac|phone|mail|cardno|sn)|"
    r"(?:person|employee|owner|driver|serial|phone|mobile|mail|ipv?[46]?addr|macaddr)\w*"
)
_COORDINATES: Final = ("latitude", "longitude", "lat", "lng", "lon")
_TIMES: Final = re.compile(r"time|date|stamp|expire|_at$|at$|upload|trigger|begin|end|start")
_ENUM: Final = re.compile(r"(?!.*\d{7})(?!(?:[0-9a-fA-F]{2}[:-]){5})[A-Za-z0-9][\w./+:\- ]{0,47}", re.ASCII)
_SMALL: Final = re.compile(r"[+-]?\d{0,4}(?:\.\d{1,6})?(?:[eE][+-]?\d{1,2})?|0x[0-9a-fA-F]{1,8}")
_EPOCH: Final = re.compile(r"[12]\d{9}(?:\d{3})?(?:\.\d+)?")
_STAMP: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]+\d{1,2}:\d{2}[\d:.,+\-Z ]*)?|T?\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?|"
    r"\d{8}T\d{6}Z?"
)
_NOTHING: Final = frozenset(
    (
        "", "null", "none", "nil", "unknown", "undefined", "noplate", "no plate", "n/a", "-", "--", "true", "false",
        "allowlist", "blocklist", "whitelist", "blacklist",
    )
)  # fmt: skip
"""Values that stand for none, are no more than a yes or no, or name the lists of devices: kept in any field."""
_PROTOCOLS: Final = (
    "yes no on off ok active inactive enable enabled disable disabled start started stop stopped begin end in out "
    "enter exit entry forward reverse backward left right up down both front rear open opened close closed lock "
    "locked unlock unlocked online offline normal abnormal error fault failed success succeeded alarm restore restored "
    "low high middle auto manual valid invalid all part other common temporary permanent white black gray grey silver "
    "red orange yellow green cyan blue purple pink brown deeppurple multicolor celsius fahrenheit kelvin http https "
    "xml json multipart utf-8 gbk gb2312 image/jpeg image/png application/json application/xml text/plain url binary "
    "base64 male female realtime history pulse arm armed disarm disarmed away stay bypass heartbeat videoloss duration "
    "checkin checkout breakin breakout allowlist blocklist whitelist blacklist"
)
_WORDS: Final = frozenset(_PROTOCOLS.split())
"""Words of protocols."""


@dataclass(frozen=True)
class RecordedFields:
    """A vendor's part of the rule: names of fields as the vendor writes them, in any case, `_` and `-` left out."""

    personal: frozenset[str] = frozenset()
    """Replaced whatever the value."""
    kept: frozenset[str] = frozenset()
    """Enumerations, counters and measures whose name does not show it: kept whatever the value."""
    tables: tuple[ModuleType, ...] = field(default=(), repr=False)
    """Modules with the vendor's code tables: a value that stands in one is kept, in any field that is not personal."""

    @cached_property
    def words(self) -> frozenset[str]:
        """The texts of the tables, in small letters."""
        tables = (one for module in self.tables for name, one in vars(module).items() if name[:2] != "__")
        return frozenset(each.casefold() for one in tables for each in _texts(one))

    def keeps(self, name: str, value: str) -> bool:
        """True where the value may stand in a recording as it came."""
        name = name.lower().rpartition(":")[2].replace("_", "").replace("-", "")
        plain = value.strip().casefold()
        if plain in _NOTHING or not plain.strip("0.:-, "):
            return True
        if _SECRET.search(name) or name in self.personal:
            return False
        if name in self.kept:
            return True
        if _PERSONAL.fullmatch(name):
            return " " in plain and plain in self.words  # a sentence of the vendor's is nobody's name
        if _ENUMERATED.fullmatch(name) and _ENUM.fullmatch(plain):
            return True
        if _LIKELY.fullmatch(name):
            return False
        if _SMALL.fullmatch(plain) or _STAMP.fullmatch(plain.upper()) or plain in _WORDS or plain in self.words:
            return True
        return _EPOCH.fullmatch(plain) is not None and _TIMES.search(name) is not None

    def locates(self, name: str) -> bool:
        """True for a part of a position, whose range must stay what it is."""
        return name.lower().rpartition(":")[2] in _COORDINATES

    def names(self, name: str) -> bool:
        """True where the name alone says that the value is personal or secret."""
        name = name.lower().rpartition(":")[2].replace("_", "").replace("-", "")
        named = _SECRET.search(name) or name in self.personal
        return bool(named or (name not in self.kept and _PERSONAL.fullmatch(name)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for inner in value:
            yield from _texts(inner)
