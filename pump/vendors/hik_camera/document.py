"""XML and JSON bodies as devices write them, to dicts. ValueError is all that these raise.

XML goes through expat with handlers that refuse: no document type, no entity, nothing fetched, depth and number of
elements bounded. Names are local names, for the namespaces change between the events of one connection. A document
without anything special is made into elements in C first, which takes half the time; the fields are the same. What is
in a message, leaf by leaf, is found in one walk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.parsers import expat

import orjson

from pump.vendors.common.json_repair import JsonReader

DEPTH: Final = 32
ELEMENTS: Final = 20_000

_BARE_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_NUMERIC: Final = re.compile(r"&#(?:(\d{1,7})|x([0-9a-fA-F]{1,6}));")
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")
_ENCODING: Final = re.compile(rb"^[^>]{0,80}encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,20})")
_ENCODINGS: Final = frozenset({"gb2312", "gbk", "gb18030", "iso-8859-1", "latin1", "windows-1252", "windows-1251"})
_PLAIN_ATTRIBUTES: Final = ("xmlns", "xsi:", "version", "size", "opt", "encoding")
_ORDINARY: Final = 4 * ELEMENTS
"""Bytes of an ordinary document at the most: it cannot hold more elements than are allowed."""

_LINKS: Final = ("url", "link", "uri")
_PASSING: Final = frozenset(("activepostcount", "datetime", "datatime", "time"))
"""Fields, beside links, in which a repeated message differs from the one before."""
_SENDING: Final = frozenset(
    (
        "isdataretransmission", "isdatatransmission", "isretransmission", "alarmdatatype", "hasmoredata",
        "currentevent", "detectionpicturetranstype", "imagetranstype", "detectionpicturesnumber", "picturesnumber",
        "picnum", "serialno", "frontserialno",
    )
)  # fmt: skip
"""Fields, beside these, that say how a record is sent and nothing of what it holds."""
_WAYS: Final = ("transtype", "pictureurltype", "picurltype", "imageurltype", "imagesdatatype")
"""The ends of the names of fields that say how pictures are sent: "binary", or some word with "url"."""
_NUMBERS: Final = (int, float)
_HOLDERS: Final = (dict, list)
_DEEPEST: Final = 64
"""Objects and lists within one another whose leaves are looked at; those of the last have no label."""
_OBJECTS: Final = 16
"""The same of objects that are looked at themselves."""

read_json: Final = JsonReader("hexadecimal", "commas").loads
"""Reads a JSON value; trailing commas and bare hexadecimal numbers are mended. Raises MessageError."""

Tree = dict[str, Any]


def read_document(body: bytes) -> Tree:
    """The document's fields: of an XML root or a JSON object with one name, what is in it; its name is under "".

    Leaves are texts (XML) or JSON values, empty XML elements None, repeated elements lists.
    """
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1]
    if start == b"<":
        return read_xml(body)
    if start == b"{":
        return _unwrapped(read_json(body))
    raise ValueError("neither XML nor JSON")


def read_xml(body: bytes) -> Tree:
    """The root element's fields, with its local name under "". Bare ampersands are mended, control characters go."""
    return _read_ordinary(body) or _read_any(body)


def _read_ordinary(body: bytes) -> Tree | None:
    """As `read_xml`; None where there is something that `_read_any` mends, refuses or has its own way with.

    That is any encoding but UTF-8, "&", "<!", what is not well-formed, a prefix that is not declared, an attribute with
    a prefix, and what is too deep.
    """
    if len(body) > _ORDINARY or b"&" in body or b"<!" in body:
        return None
    parser = XMLParser(encoding="utf-8")
    try:
        parser.feed(body.strip())
        root: Element = parser.close()
        fields = _fields(root, 1)
    except (ParseError, _SpecialError):
        return None
    value = fields if isinstance(fields, dict) else {} if fields is None else {"#text": fields}
    return {"": root.tag.rpartition("}")[2], **value}


class _SpecialError(Exception):
    """The document is no ordinary one."""


def _fields(element: Element, depth: int) -> Tree | str | None:
    """The element's attributes and children by their names; its text alone where it has none."""
    fields: Tree = {}
    for name, value in element.items():
        if name[0] == "{":
            raise _SpecialError
        if not name.startswith(_PLAIN_ATTRIBUTES):
            fields[f"@{name}"] = value
    content = element.text or ""
    if len(element):
        if depth >= DEPTH:
            raise _SpecialError
        for child in element:
            content += child.tail or ""
            if len(child) or child.keys():
                inner: Tree | str | None = _fields(child, depth + 1)
            else:
                inner = ((text := child.text) and text.strip()) or None
            name = child.tag.rpartition("}")[2]
            if name not in fields:
                fields[name] = inner
            elif type(before := fields[name]) is list:
                before.append(inner)
            else:
                fields[name] = [before, inner]
    content = content.strip()
    if not fields:
        return content or None
    if content:
        fields["#text"] = content
    return fields


def _read_any(body: bytes) -> Tree:
    text = _DECLARATION.sub("", _CONTROL.sub("", _decode(body)), count=1)
    if "&" in text:
        text = _BARE_AMPERSAND.sub("&amp;", _NUMERIC.sub(_writable, text))
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    try:
        parser.Parse(text.strip(), True)
    except expat.ExpatError as error:
        raise ValueError(f"XML: {error}") from None
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Tree = {}
        self._stack: list[tuple[str, Tree, list[str]]] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._stack) >= DEPTH or self._elements > ELEMENTS:
            raise ValueError("XML: too deep or too many elements")
        fields = {f"@{key}": value for key, value in attributes.items() if not key.startswith(_PLAIN_ATTRIBUTES)}
        self._stack.append((name.rpartition(":")[2], fields, []))

    def end(self, _: str) -> None:
        name, fields, pieces = self._stack.pop()
        content = "".join(pieces).strip()
        value: Any = fields
        if not fields:
            value = content or None
        elif content:
            fields["#text"] = content
        if not self._stack:
            self.root = {"": name, **(fields if fields else {"#text": content} if content else {})}
            return
        parent = self._stack[-1][1]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def text(self, piece: str) -> None:
        if self._stack:
            self._stack[-1][2].append(piece)


def _refuse(*_: object) -> int:
    raise ValueError("XML: a document type or an entity is refused")


def _decode(body: bytes) -> str:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        named = _ENCODING.match(body)
        name = named[1].decode().lower() if named else ""
        return body.decode(name if name in _ENCODINGS else "gb18030", "replace")


def _writable(found: re.Match[str]) -> str:
    """A reference to a character that XML cannot hold goes."""
    code = int(found[1]) if found[1] else int(found[2], 16)
    held = code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000
    return found[0] if held else ""


def _unwrapped(value: Tree) -> Tree:
    if len(value) == 1:
        ((name, inner),) = value.items()
        if isinstance(inner, dict):
            return {**inner, "": name}
    return {**value, "": ""}


# --- what is in a message ---------------------------------------------------------------------------------------------


class Weight(IntEnum):
    """A field's place in a message: a digest up to one has those before it too."""

    CONTENT = 0
    SENDING = 1
    """How the message is sent."""
    PASSING = 2
    """In which a repetition differs, links too."""


@dataclass(slots=True, frozen=True)
class Name:
    """A field's name, and what it says of the field: devices have some hundred names, so each is read but once."""

    text: str
    lower: str
    """In lower case."""
    weight: Weight
    way: bool
    """It says how pictures are sent."""


_NAMES: Final[dict[str, Name]] = {}
"""Those that were read. Whoever makes names up fills it once: others are then read each time."""
_MOST: Final = 1024
_LONGEST: Final = 64
"""Characters of a name that is kept."""


def _named(text: str) -> Name:
    lower = text.lower()
    passing = lower in _PASSING or lower.endswith(_LINKS)
    weight = Weight.PASSING if passing else Weight.SENDING if lower in _SENDING else Weight.CONTENT
    name = Name(text, lower, weight, text[-4:] in ("Type", "type") and lower.endswith(_WAYS))
    if len(_NAMES) < _MOST and len(text) <= _LONGEST:
        _NAMES[text] = name
    return name


_NAMELESS: Final = _named("")

Leaf = tuple[Name, Name, Any]
"""A leaf's name, label and value. One of a list has no name, and an element's own text beside its attributes is called
"#text": the label is the name of the list, or of the element."""


class Content(NamedTuple):
    """A message, walked once, in the document's order."""

    leaves: list[Leaf]
    objects: list[Tree]
    """The outer before the inner, itself the first."""


def walked(tree: Tree) -> Content:
    """All that is in the message."""
    found = Content([], [])
    _gather(tree, _NAMELESS, 0, found)
    return found


def leaves(tree: Tree) -> list[Leaf]:
    """Every leaf below, in the document's order."""
    return walked(tree).leaves


def _gather(value: Tree | list[Any], label: Name, depth: int, found: Content) -> None:
    leaves, objects = found
    if depth == _DEEPEST:
        inside = value.items() if isinstance(value, dict) else (("", one) for one in value)
        leaves += [(_named(name), _NAMELESS, one) for name, one in inside if not isinstance(one, _HOLDERS)]
    elif isinstance(value, dict):
        if depth <= _OBJECTS:
            objects.append(value)
        for text, one in value.items():
            name = _NAMES.get(text) or _named(text)
            own = label if text == "#text" else name
            if type(one) is str or not isinstance(one, _HOLDERS):
                leaves.append((name, own, one))
            else:
                _gather(one, own, depth + 1, found)
    else:
        for one in value:
            if isinstance(one, _HOLDERS):
                _gather(one, label, depth + 1, found)
            else:
                leaves.append((_NAMELESS, label, one))


def digest(named: Sequence[Leaf], most: Weight) -> str:
    """Of the leaves up to this weight: messages of one content differ in nothing else."""
    pieces: list[bytes] = []
    for name, _, value in named:
        if name.weight <= most:
            plain = type(value) is str or value is None or isinstance(value, _NUMBERS)
            pieces.append(orjson.dumps((name.text, value if plain else str(value))))
    return hashlib.blake2b(b"".join(pieces), digest_size=16).hexdigest()
