"""A message's text with stand-ins in it, as many bytes: read leniently, for odd firmware is what is recorded."""

from __future__ import annotations

import base64
import re
from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.standins import StandIns
from pump.ingest.recording.units import ADDRESS, JSON, PLAIN, XML, Form, rewritten

_JSON_TOKEN: Final = re.compile(
    r'"(?P<string>[^"\\]*(?:\\.[^"\\]*)*)(?P<end>"|\\?\Z)|“(?P<curly>[^”“]*)”|(?P<word>[^\s"“{}\[\],:]+)|(?P<mark>[{}\[\],:])',
    re.DOTALL,
)
_KEY: Final = re.compile(r"\s*:")
_NAME: Final = re.compile(r"[A-Za-z_$@][A-Za-z_$@.:\-]{0,63}\d{0,2}|\d{1,3}")
_XML_TOKEN: Final = re.compile(
    r"<!\[CDATA\[(?P<data>.*?)(?:\]\]>|\Z)|<!--(?P<comment>.*?)(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!(?P<type>[^>]*)>?"
    r"|<(?P<close>/?)(?P<tag>[\w:.\-]+)(?P<inside>[^<>]*)>?|(?P<text>[^<]+)|<",
    re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"""([\w:.\-]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)')""")
_FORM: Final = re.compile(r"[\w.\-\[\]%]+=[^&=\s]*(?:&[\w.\-\[\]%]+=[^&=\s]*)*\s*")
_PAIR: Final = re.compile(r"([^&=?;]+)(=?)([^&;]*)")
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?:(?P<user>[^/@\s]*)@)?(?P<host>[^/:?#\s]*)(?P<port>:\d+)?(?P<rest>\S*)"
)
_REST: Final = re.compile(r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?")
_SEGMENT: Final = re.compile(r"[A-Za-z][A-Za-z_\-]{0,30}\d{0,2}(?:\.[a-z]{2,4})?|\d{1,3}|")
_ENDING: Final = re.compile(r"\.(?:jpe?g|png|mp4|xml|json)\b.*", re.IGNORECASE)
_PICTURE: Final = re.compile(r"(?:data:[\w/+.\-]+;base64,)?(?P<data>(?:/9j/|iVBORw0)[A-Za-z0-9+/]+={0,2})")
_LONGEST: Final = 64 << 10
"""Characters of a value whose own are looked at; a longer one, and no picture, becomes x's."""
_MOST: Final = 100_000
"""Values of a text; what stands behind them becomes x's. No device's message has so many."""
_DEEPEST: Final = 4
"""Texts within texts."""


class TextReplacer:
    """The rule, and the stand-ins, of one recording."""

    def __init__(self, fields: RecordedFields, stand_ins: StandIns) -> None:
        self._fields = fields
        self.stand_ins = stand_ins

    def text(self, text: str, codec: str = "utf-8", *, name: str = "", depth: int = 0) -> str:
        """JSON, XML or a form with stand-ins, whatever is broken in it; what is none of them has its letters and
        digits replaced."""
        match text.lstrip("\ufeff \t\r\n")[:1]:
            case "{" | "[":
                return self._json(text, codec, name, depth)
            case "<":
                return self._xml(text, codec, depth)
            case _ if len(text) <= _LONGEST and _FORM.fullmatch(text):
                return self.query(text, codec)
            case _:
                return self._value(name, text, PLAIN, codec, depth)

    def query(self, text: str, codec: str = "utf-8") -> str:
        """name=value&name=value."""
        if len(text) > _LONGEST:
            return _filled(text, codec)
        return _PAIR.sub(lambda one: self._pair(one, codec), text)

    def _pair(self, one: re.Match[str], codec: str) -> str:
        if not one[2]:
            return self._value("", one[0], ADDRESS, codec)
        return one[1] + one[2] + self._value(one[1], one[3], ADDRESS, codec)

    def path(self, text: str) -> str:
        """A path that is asked for: words stay, numbers of devices and the like do not."""
        parts = (each if _SEGMENT.fullmatch(each) else self._of(each, ADDRESS, "utf-8") for each in text.split("/"))
        return "/".join(parts)

    # --- by form --------------------------------------------------------------------------------------------------

    def _json(self, text: str, codec: str, name: str, depth: int) -> str:
        parts, place = [], 0
        lists = [name]
        key = name
        for number, token in enumerate(_JSON_TOKEN.finditer(text)):
            parts.append(text[place : token.start()])
            if number >= _MOST:
                return "".join([*parts, _filled(text[token.start() :], codec)])
            place = token.end()
            whole = token[0]
            inner = token["string"] if token["string"] is not None else token["curly"]
            if inner is not None:
                if _KEY.match(text, place):
                    key = inner
                    inner = inner if _NAME.fullmatch(inner.strip()) else self._of(inner, JSON, codec)
                else:
                    inner = self._value(key, inner, JSON, codec, depth)
                whole = whole[0] + inner + (whole[-1] if token["curly"] is not None else token["end"])
            elif token["mark"]:
                match whole:
                    case "{" | "[":
                        lists.append(key)
                    case "}" | "]" if len(lists) > 1:
                        lists.pop()
                key = lists[-1] if whole in ",]}" else key
            elif not _KEY.match(text, place):
                whole = self._value(key, whole, PLAIN, codec, depth)
            else:
                key = whole
            parts.append(whole)
        return "".join([*parts, text[place:]])

    def _xml(self, text: str, codec: str, depth: int) -> str:
        parts, place = [], 0
        tags = [""]
        for number, token in enumerate(_XML_TOKEN.finditer(text)):
            parts.append(text[place : token.start()])
            if number >= _MOST:
                return "".join([*parts, _filled(text[token.start() :], codec)])
            place = token.end()
            whole, kind = token[0], token.lastgroup
            if token["data"] is not None:
                whole = (
                    whole[:9]
                    + self._value(tags[-1], token["data"], PLAIN, codec, depth)
                    + whole[9 + len(token["data"]) :]
                )
            elif token["comment"] is not None:
                whole = whole[:4] + self._of(token["comment"], PLAIN, codec) + whole[4 + len(token["comment"]) :]
            elif kind == "text":
                whole = self._value(tags[-1], whole, XML, codec, depth)
            elif token["tag"] is not None:
                if token["close"]:
                    del tags[max(1, len(tags) - 1) :]
                else:
                    if not token["inside"].rstrip().endswith("/"):
                        tags.append(token["tag"])
                    begin = token.start("inside") - token.start()
                    inside = self._attributes(token["inside"], codec)
                    whole = whole[:begin] + inside + whole[begin + len(token["inside"]) :]
            parts.append(whole)
        return "".join([*parts, text[place:]])

    def _attributes(self, text: str, codec: str) -> str:
        if len(text) > _LONGEST:
            return _filled(text, codec)
        return _ATTRIBUTE.sub(lambda one: self._attribute(one, codec), text)

    def _attribute(self, one: re.Match[str], codec: str) -> str:
        name, value = one[1], one[3] if one[3] is not None else one[4]
        if name.startswith("xmlns") or name in ("version", "encoding", "xsi:schemaLocation"):
            return one[0]
        mark = one[0][len(name) + len(one[2])]
        return f"{name}{one[2]}{mark}{self._value(name, value, XML, codec)}{mark}"

    # --- one value ------------------------------------------------------------------------------------------------

    def _value(self, name: str, raw: str, form: Form, codec: str, depth: int = 0) -> str:
        if (picture := _PICTURE.match(raw)) and len(raw) > 100:
            return self._picture(raw, picture, form, codec)
        if len(raw) > _LONGEST:
            return _filled(raw, codec)
        units = form.split(raw)
        value = "".join(char for char, _ in units)
        if self._fields.keeps(name, value):
            return raw
        begin = value.lstrip()[:1]
        new = ""
        if begin and begin in "{[<" and depth < _DEEPEST:
            new = self.text(value, codec, name=name, depth=depth + 1)
        elif (address := _ADDRESS.fullmatch(value.strip())) is not None:
            lead = len(value) - len(value.lstrip())
            new = value[:lead] + self._address(address, codec) + value[lead + len(address[0]) :]
        elif self._fields.locates(name):
            new = self.stand_ins.coordinate(value)
        elif "," in value and not self._fields.names(name):
            parts = value.split(",")
            new = ",".join(one if self._fields.keeps(name, one) else self.stand_ins.of(one) for one in parts)
        if len(new) != len(value):
            new = self.stand_ins.of(value)
        return rewritten(units, new, form, codec)

    def _of(self, raw: str, form: Form, codec: str) -> str:
        """Replaced whatever it is."""
        if len(raw) > _LONGEST:
            return _filled(raw, codec)
        units = form.split(raw)
        return rewritten(units, self.stand_ins.of("".join(char for char, _ in units)), form, codec)

    def _address(self, found: re.Match[str], codec: str) -> str:
        rest = _REST.fullmatch(found["rest"])
        host = found["host"]
        parts = [found["scheme"]]
        if found["user"] is not None:
            parts.append(self._of(found["user"], ADDRESS, codec) + "@")
        if host.replace(".", "").isdecimal():
            parts.append(self.stand_ins.of(host))
        else:
            *labels, last = host.split(".")
            parts.append(".".join([*map(self.stand_ins.of, labels), last if labels else self.stand_ins.of(last)]))
        parts.append(found["port"] or "")
        if rest is None:
            return "".join(parts) + self._of(found["rest"], ADDRESS, codec)
        for segment in re.split("(/)", rest["path"]):
            ending = _ENDING.search(segment)
            cut = ending.start() if ending else len(segment)
            parts.append(self._of(segment[:cut], ADDRESS, codec) + self._kept_ending(segment[cut:], codec))
        parts.append(self.query(rest["query"] or "", codec))
        parts.append(self._of(rest["fragment"] or "", ADDRESS, codec))
        return "".join(parts)

    def _kept_ending(self, text: str, codec: str) -> str:
        """Of a file: its kind stays, and what stands behind it does not."""
        found = re.match(r"\.\w+", text)
        return text if found is None else found[0] + self._of(text[found.end() :], ADDRESS, codec)

    def _picture(self, raw: str, found: re.Match[str], form: Form, codec: str) -> str:
        """A drawn one of the same size, as base64; what stands behind it is a value of its own."""
        data = found["data"]
        usable = len(data) - len(data) % 4
        try:
            size = len(base64.b64decode(data[:usable], validate=True))
        except ValueError:
            usable, size = usable - 4, (usable // 4 - 1) * 3
        content = data[:usable].encode()
        made = base64.b64encode(self.stand_ins.picture(content[:size].ljust(size, b"."))).decode()
        head = raw[: found.start("data")]
        return head + made + self._of(raw[found.start("data") + usable :], form, codec)


def _filled(text: str, codec: str) -> str:
    """As many bytes of x, for what is too long to be read."""
    return "x" * len(text.encode(codec, "replace"))
