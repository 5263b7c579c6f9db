"""What bytes look like at their start and end, whatever a file is called; nothing is opened or run."""

from __future__ import annotations

import io
import pickletools
import re
import struct

HEAD_BYTES = 512
_MIN_OPCODES = 3
# Protocols 0 and 1 have no header; these are the ways in which real ones start.
_OLD_PICKLE = re.compile(rb"(?:c[A-Za-z_][\w.]{0,100}\n[A-Za-z_][\w.]{0,100}\n|\([dli](?:p0)?\n|[}\])]q\x00)")
_ARCHIVES = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a")
_PROGRAMS = (b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm")


def content_of(head: bytes) -> str | None:
    """Return what a file's first bytes are: "pickle", "archive", "program", "script" or None."""
    if is_pickle(head) or head.startswith(b"\x93NUMPY"):
        return "pickle"
    if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        return "archive"
    if head.startswith(_PROGRAMS):
        return "program"
    return "script" if head.startswith(b"#!") else None


def is_pickle(head: bytes) -> bool:
    """Return whether bytes start like a pickle; its opcodes are named, never run.

    The length of a safetensors header may have the two bytes of a pickle's start (640 is 80 02),
    but what follows it there is never a third opcode: zeros and JSON are none. A file that is both
    was made so.
    """
    if _OLD_PICKLE.match(head):
        return True
    if len(head) < 3 or head[0] != 0x80 or not 2 <= head[1] <= 5:
        return False
    n_opcodes = 0
    try:
        for _ in pickletools.genops(head):
            n_opcodes += 1
    except (ValueError, IndexError, struct.error, OverflowError, MemoryError, Warning):
        pass  # the head ends in the middle of one; a warning is raised only where warnings are errors
    return n_opcodes >= _MIN_OPCODES


def holds_zip(file: io.FileIO, n_bytes: int) -> bool:
    """Return whether a zip reader would find an archive at the end of an open file."""
    n_tail = min(n_bytes, 22 + 65_535)
    file.seek(n_bytes - n_tail)
    tail = file.read(n_tail) or b""
    at = tail.find(b"PK\x05\x06")
    while at >= 0:
        if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):  # zip64 keeps its sizes elsewhere
            return True
        if at + 22 <= len(tail):
            (n_directory,) = struct.unpack_from("<I", tail, at + 12)
            start = n_bytes - len(tail) + at - n_directory
            if start >= 0:
                file.seek(start)
                if file.read(4) in (b"PK\x01\x02", b"PK\x05\x06"):
                    return True
        at = tail.find(b"PK\x05\x06", at + 1)
    return False
