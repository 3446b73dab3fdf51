"""A person's source file: read as Python reads one, and written back in the form that it had.

    text = sources.read(path)                       # no byte-order mark, lines that end in \\n
    text = sources.unmarked(answer)                 # a text that is no file's
    path.write_bytes(sources.written(new, path.read_bytes()))
    print(sources.in_utf8(text))                    # of another encoding, it no longer states that

The form is a byte-order mark and how lines end; the encoding is what the text states of itself (`# coding: latin-1`),
else UTF-8.
"""

from __future__ import annotations

import io
import re
import tokenize
from codecs import BOM_UTF8
from pathlib import Path

MARK = "\ufeff"
_STATED = re.compile(r"(?P<before>[ \t\f]*#.*?coding[:=][ \t]*)[-\w.]+", re.ASCII)  # as `tokenize` finds it


def read(path: Path) -> str:
    """The text of a source file. Raises OSError, and ValueError where it is not in the encoding that it states."""
    raw = path.read_bytes()
    return raw.decode(_encoding(raw)).replace("\r\n", "\n").replace("\r", "\n")


def unmarked(text: str) -> str:
    """A text without the byte-order mark that it may begin with, as Python reads one."""
    return text.removeprefix(MARK)


def written(text: str, before: bytes) -> bytes:
    """The bytes of a text in the form of a file that held `before`. Raises ValueError where the encoding that the text
    states lacks one of its letters."""
    crlf = before.count(b"\r\n")
    newline = "\r\n" if crlf and 2 * crlf > before.count(b"\n") else "\n"
    mark = BOM_UTF8 if before.startswith(BOM_UTF8) else b""
    return mark + text.replace("\n", newline).encode(_encoding(text.encode()))


def in_utf8(text: str) -> str:
    """A text to be printed or sent as UTF-8: it states no other encoding of itself."""
    if _encoding(text.encode()) in ("utf-8", "utf-8-sig"):
        return text
    lines = text.split("\n")
    place = next(i for i, line in enumerate(lines) if _STATED.match(line))
    lines[place] = _STATED.sub(r"\g<before>utf-8", lines[place])
    return "\n".join(lines)


def _encoding(raw: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
    except SyntaxError as error:
        raise ValueError(error.msg) from error
