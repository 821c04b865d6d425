"""XML and JSON bodies as devices write them, to dicts. ValueError is all that these raise.

XML goes through expat with handlers that refuse: no document type, no entity, nothing fetched, depth and number of
elements bounded. Names are local names, for the namespaces change between the events of one connection. A document
without anything special is made into elements in C first, which takes half the time; the fields are the same.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.parsers import expat

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
