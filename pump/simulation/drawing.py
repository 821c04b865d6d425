"""A drawn car before a gate, as a baseline JPEG that any viewer shows: one colour for each 8 by 8 pixels."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

WIDTH: Final = 24
HEIGHT: Final = 14
"""Squares of 8 by 8 pixels."""
_SOI: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
HEAD: Final = len(_SOI)
"""Bytes before which nothing may be put in; comments may follow."""
_QUANTA: Final = b"\xff\xdb\x00\x43\x00" + b"\x08" * 64
_LENGTHS: Final = (2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9)
"""Bits of the code of each size of a difference (ITU-T T.81, table K.3)."""

Colour = tuple[int, int, int]
"""Luminance, blueness, redness; each from 0 to 255."""

_SKY: Final = (200, 138, 122)
_GROUND: Final = (96, 128, 128)
_GLASS: Final = (60, 134, 124)
_WHEEL: Final = (30, 128, 128)
_PLATE: Final = (235, 110, 135)
_BAR: Final = (120, 110, 200)


@lru_cache(64)
def draw(seed: int) -> bytes:
    """The picture of this number; its colours and the place of the car are of chance."""
    chance = random.Random(seed)
    body: Colour = (chance.randrange(60, 200), chance.randrange(70, 190), chance.randrange(70, 190))
    left = chance.randrange(2, 7)
    bits = _Bits()
    before = [0, 0, 0]
    for row in range(HEIGHT):
        for column in range(WIDTH):
            for which, value in enumerate(_colour(column - left, row, body, chance)):
                bits.put(value - 128 - before[which])
                before[which] = value - 128
    counts = bytes(sum(length == bit for length in _LENGTHS) for bit in range(1, 17))
    tables = b"\xff\xc4\x00\x1f\x00" + counts + bytes(range(12))
    tables += b"\xff\xc4\x00\x14\x10\x01" + bytes(15) + b"\x00"  # of what follows the colour: only "no more"
    size = (8 * HEIGHT).to_bytes(2, "big") + (8 * WIDTH).to_bytes(2, "big")
    frame = b"\xff\xc0\x00\x11\x08" + size + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"
    return _SOI + _QUANTA + frame + tables + scan + bits.ended() + b"\xff\xd9"


def _colour(x: int, y: int, body: Colour, chance: random.Random) -> Colour:
    """Of a square; `x` counts from the car's back."""
    shade = chance.randrange(-4, 5)
    if y in (11, 12) and x in (2, 3, 11, 12):
        return _WHEEL
    if y == 10 and x in (14, 15):
        return _PLATE
    if 8 <= y <= 11 and 0 <= x <= 15:
        return (body[0] + shade, body[1], body[2])
    if 5 <= y <= 7 and 3 <= x <= 11:
        return _GLASS if y > 5 and x not in (3, 7, 11) else body
    if y == 3 and x >= 8:
        return _BAR
    base = _SKY if y < 9 else _GROUND
    return (base[0] + shade - 3 * y, base[1], base[2])


class _Bits:
    """The coded differences of the squares' colours."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._codes: list[str] = []
        code = 0
        for place, length in enumerate(_LENGTHS):
            if place:
                code = (code + 1) << (length - _LENGTHS[place - 1])
            self._codes.append(format(code, f"0{length}b"))

    def put(self, difference: int) -> None:
        """One difference, and that nothing follows it."""
        size = abs(difference).bit_length()
        value = difference if difference > 0 else difference + (1 << size) - 1
        self._text.append(self._codes[size] + (format(value, f"0{size}b") if size else "") + "0")

    def ended(self) -> bytes:
        """All of them, filled up with ones; a byte of ones alone is followed by a zero."""
        text = "".join(self._text)
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
