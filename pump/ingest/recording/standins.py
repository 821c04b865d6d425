"""Stand-ins for what is personal or secret: letters stay letters, digits digits, and equal values get equal ones."""

from __future__ import annotations

import hashlib
import random
import re
import secrets
from typing import Final

from pump.simulation.drawing import HEAD, draw

_DIGITS: Final = "0123456789"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_HEX: Final = "abcdef"
_ACCENTED: Final = "àáèéêìíòóùúü"
"""Two bytes each, in UTF-8 and in GB 18030."""
_HANZI: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
"""Three bytes each in UTF-8, two in GB 18030: a number plate with one stays a number plate."""
_IPV4: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})((?::\d{1,5})?)")
_COORDINATE: Final = re.compile(r"([+-]?)(\d{1,3})((?:\.\d+)?)")
_HEXADECIMAL: Final = re.compile(r"(?=.*\d)(?=.*[a-fA-F])[0-9a-fA-F:.\- ]{8,}")
_REMEMBERED: Final = 256
"""Characters of a value above which its stand-in is made anew each time, the same one."""
_KNOWN: Final = 50_000
"""Values whose stand-ins are remembered; of those that come later two may share one, and each keeps its own."""
_TRIES: Final = 64
_SHORT: Final = 3
"""Digits up to which numbers are shuffled among themselves: there are too few for chance to keep them apart."""
_DRAWINGS: Final = 64
_COMMENT: Final = 60_000
"""Bytes of a JPEG's comment; 65,535 are the most."""


class StandIns:
    """Those of one recording, by a key that nobody keeps: without it nothing leads back to a value.

    What is no letter and no digit stays, and neither it nor a letter's case changes the stand-in: "A12 345" and
    "a12345" are still the same plate.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: dict[str, str] = {}
        self._used: set[str] = set()
        self._shuffled: dict[int, list[int]] = {}

    def of(self, text: str) -> str:
        """As many characters, each of its kind: digit, letter of this case, accented letter, Chinese character."""
        if (address := _IPV4.fullmatch(text)) is not None:
            octets = enumerate(address[1].split("."))
            return ".".join(self._octet(address[1], place, octet) for place, octet in octets) + address[2]
        hexadecimal = _HEXADECIMAL.fullmatch(text) is not None
        low = [_lower(each) for each in text if _replaced(each)]
        made = iter(self._of_core("".join(low), hexadecimal=hexadecimal))
        return "".join(_cased(next(made), each) if _replaced(each) else each for each in text)

    def coordinate(self, text: str) -> str:
        """Degrees of as many digits, at most 89, or 179 where there are three; of what is no such number, as `of`."""
        if (found := _COORDINATE.fullmatch(text)) is None:
            return self.of(text)
        sign, whole, rest = self.of(text)[: found.end(1)], self.of(found[2]), self.of(found[3])
        match len(whole):
            case 2 if whole[0] == "9":
                whole = "8" + whole[1]
            case 3 if whole[0] != "0":
                whole = "1" + str(int(whole[1]) % 8) + whole[2]
        return sign + whole + rest

    def picture(self, content: bytes) -> bytes:
        """A drawn JPEG of as many bytes, the same for the same picture; of few bytes, a JPEG's beginning and end."""
        size = len(content)
        drawn = draw(hashlib.blake2b(content, key=self._key, digest_size=1).digest()[0] % _DRAWINGS)
        if (room := size - len(drawn)) < 0:
            return (b"\xff\xd8\xff\xe0" + bytes(max(0, size - 6)) + b"\xff\xd9")[:size]
        mark = hashlib.blake2b(content, key=self._key, digest_size=16).hexdigest().encode()
        parts = []
        while room >= 4:
            length = min(room, _COMMENT)
            if length < room < length + 4:
                length -= 4  # what is left must have room for a comment of its own
            parts.append(b"\xff\xfe" + (length - 2).to_bytes(2, "big") + mark[: length - 4].ljust(length - 4, b" "))
            room -= length
        return b"".join((drawn[:HEAD], *parts, drawn[HEAD:], bytes(room)))

    # --- how they are made ----------------------------------------------------------------------------------------

    def _of_core(self, core: str, *, hexadecimal: bool) -> str:
        if not core.strip("0"):
            return core
        if (known := self._known.get(core)) is not None:
            return known
        if core.isdecimal() and core.isascii() and len(core) <= _SHORT and core[0] != "0":
            return str(self._permuted(len(core))[int(core) - 10 ** (len(core) - 1)])
        for attempt in range(_TRIES):
            made = self._drawn(core, attempt, hexadecimal=hexadecimal)
            if made != core and made not in self._used and made.strip("0"):  # zeros alone stand for none
                break
        if 0 < len(core) <= _REMEMBERED and len(self._known) < _KNOWN:
            self._known[core] = made
            self._used.add(made)
        return made

    def _drawn(self, core: str, attempt: int, *, hexadecimal: bool) -> str:
        chance = random.Random(
            hashlib.blake2b(f"{attempt}/{core}".encode("utf-8", "surrogatepass"), key=self._key).digest()
        )
        found = []
        leading = True
        for each in core:
            alphabet = _alphabet(each, hexadecimal=hexadecimal)
            if each.isdecimal() and each.isascii():
                # a number keeps its length: its first digit stays none, or stays one
                alphabet = ("0" if each == "0" else _DIGITS[1:]) if leading else alphabet
            leading = False
            found.append(alphabet[int(chance.random() * len(alphabet))])
        return "".join(found)

    def _permuted(self, digits: int) -> list[int]:
        """The numbers of so many digits in another order, so that no two have one stand-in."""
        if digits not in self._shuffled:
            numbers = list(range(10 ** (digits - 1), 10**digits))
            random.Random(self._key + bytes([digits])).shuffle(numbers)
            self._shuffled[digits] = numbers
        return self._shuffled[digits]

    def _octet(self, address: str, place: int, octet: str) -> str:
        if not octet.strip("0"):
            return octet
        drawn = self._drawn(f"{address}/{place}/{octet}", 0, hexadecimal=False)[-len(octet) :]
        low = {1: _DIGITS[1:], 2: _DIGITS[1:], 3: "1"}[len(octet)]
        return low[int(drawn[0]) % len(low)] + drawn[1:]


def _replaced(each: str) -> bool:
    return each.isalnum() or "\udc00" <= each <= "\udfff"


def _lower(each: str) -> str:
    low = each.lower()
    return low if len(low) == 1 else each


def _cased(made: str, like: str) -> str:
    up = made.upper()
    return up if like.isupper() and len(up) == 1 else made


def _alphabet(each: str, *, hexadecimal: bool) -> str:
    """The characters of its kind, as many bytes long."""
    if each.isascii():
        return _DIGITS if each.isdecimal() else _HEX if hexadecimal else _LETTERS
    if each < "\u0800":
        return _ACCENTED
    if "\udc00" <= each <= "\udfff":
        return "\udc10\udc20\udc30\udc40\udc50\udc60"  # the second half of an escaped pair
    return _HANZI if each <= "\uffff" else "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇"
