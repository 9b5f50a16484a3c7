"""A sound as an answer: the whole of it, or the one range of bytes that was asked for.

Law: a range is of the plain sound, whether or not its file is sealed. Of several ranges none is heeded, as HTTP allows: no
player asks for them, and each costs a part of an answer. The stream is closed when the answer ends, however it ends.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from email.utils import formatdate
from io import BufferedReader

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ctid.asterisk.recordings import size_of
from ctid.languages import _

_PIECE = 64 * 1024
#: Of a number in a range; one of more is behind any end.
_DIGITS = 18
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE | re.ASCII)


def played(stream: BufferedReader, request: Request, media_type: str, headers: dict[str, str]) -> Response:
    """The answer; it closes the stream. Raises 400 and 416 for a range that is none."""
    status, size = os.fstat(stream.fileno()), size_of(stream)
    mark = hashlib.sha256(b"%d %d %d" % (status.st_ino, status.st_mtime_ns, size)).hexdigest()[:32]
    modified = formatdate(status.st_mtime, usegmt=True)
    sent = headers | {"accept-ranges": "bytes", "etag": f'"{mark}"', "last-modified": modified}
    whole = request.headers.get("if-range") not in (None, f'"{mark}"', modified)
    asked = "" if whole else request.headers.get("range", "").strip()
    begin, end = 0, size
    if asked and "," not in asked:
        try:
            begin, end = _span(asked, size)
        except HTTPException:
            stream.close()
            raise
        sent["content-range"] = f"bytes {begin}-{end - 1}/{size}"
    sent["content-length"] = str(end - begin)
    code = 206 if "content-range" in sent else 200
    if request.method == "HEAD":
        stream.close()
        return Response(status_code=code, headers=sent, media_type=media_type)
    return StreamingResponse(_pieces(stream, begin, end), code, sent, media_type)


def _span(asked: str, size: int) -> tuple[int, int]:
    """From where to before where; raises 400 for what is no range, and 416 for one behind the end."""
    found = _RANGE.fullmatch(asked)
    first, last = (found[1][:_DIGITS], found[2][:_DIGITS]) if found else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        raise HTTPException(400, _("That is no range of bytes."))
    begin, end = (int(first), size) if first else (max(0, size - int(last)), size)
    if first and last:
        end = min(int(last) + 1, size)
    if begin >= size:
        raise HTTPException(416, _("The recording is shorter than that."), {"content-range": f"bytes */{size}"})
    return begin, end


def _pieces(stream: BufferedReader, begin: int, end: int) -> Iterator[bytes]:
    with stream:
        stream.seek(begin)
        while begin < end and (piece := stream.read(min(_PIECE, end - begin))):
            begin += len(piece)
            yield piece
