"""Reading the JSON documents of an object one after the other, in bounded memory.

What AWS writes is JSON with or without newlines between the documents, and exports are gzip as
well. Where one document ends is found by parsing it. The largest is an on-failure payload, which
is a batch of 6 MB at most, as text within JSON.
"""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Generator, Iterator
from typing import IO, Any

from shared.errors import InvalidInput

CHUNK = 256 * 1024
MAX_DOCUMENT = 32 * 1024 * 1024

_decoder = json.JSONDecoder()
_WHITESPACE = " \t\r\n"


def documents(body: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of a body; `name` is the object's, and ends in ``.gz`` if it is gzip."""
    stream: Any = gzip.GzipFile(fileobj=body) if name.endswith(".gz") else body
    decode = codecs.getincrementaldecoder("utf-8")().decode
    pending, needed = "", 1
    while True:
        chunk = stream.read(CHUNK)
        pending += decode(chunk, final=not chunk)
        # A document longer than a chunk is parsed again only when twice as much has been read.
        if len(pending) >= needed or not chunk:
            pending = yield from _parsed(pending)
            needed = 2 * len(pending)
        if not chunk:
            break
        if len(pending) > MAX_DOCUMENT:
            break
    if pending:
        raise InvalidInput(f"{name} is not JSON: it does not go on after what has been read")


def _parsed(text: str) -> Generator[dict[str, Any], None, str]:
    """Yield the whole documents of a text; return what is left."""
    start = 0
    while True:
        while text[start : start + 1] and text[start] in _WHITESPACE:
            start += 1
        try:
            document, start = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return text[start:]
        if not isinstance(document, dict):
            raise InvalidInput("what is there is JSON, but not an object")
        yield document
