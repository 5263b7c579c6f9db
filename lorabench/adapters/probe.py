"""What a file really is, from its first bytes: looked at, never opened by anything that could act on it."""

from __future__ import annotations

import io
import os
import pickletools
import re
import struct
from pathlib import Path

from lorabench.adapters.book import FindingBook
from lorabench.adapters.files import open_regular
from lorabench.adapters.inventory import ARCHIVES, CODE, OTHER_WEIGHTS, PICKLES, WEIGHTS_FILE
from lorabench.adapters.safetensors_reader import SafetensorsFile, holds_zip
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

HEAD_BYTES = 512
_MIN_OPCODES = 3
# Protocols 0 and 1 have no header; these are the ways in which real ones start.
_OLD_PICKLE = re.compile(rb"(?:c[A-Za-z_][\w.]{0,100}\n[A-Za-z_][\w.]{0,100}\n|\([dli](?:p0)?\n|[}\])]q\x00)")
_ARCHIVE_STARTS = (
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a",
)
_PROGRAM_STARTS = (
    b"\x7fELF",
    b"MZ\x90",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
)


def probe_file(path: Path, name: str, n_bytes: int, book: FindingBook) -> None:
    """Compare what a regular file holds with what its name says; only a few hundred bytes are read.

    Files with the name of a pickle or an archive are reported for that name alone. A valid safetensors
    file is one, whatever the first bytes of its length look like.

    Args:
        path: Where it lies.
        name: Its relative name.
        n_bytes: Its size as listed.
        book: Takes what is found.
    """
    lower = name.lower()
    if lower.endswith((*PICKLES, *ARCHIVES)):
        return
    try:
        fd, state = open_regular(path, max_bytes=max(n_bytes, 1))
    except AdapterRefusedError as error:
        book.defect(error, name)
        return
    with io.FileIO(fd, "rb") as file:
        head = file.read(HEAD_BYTES) or b""
        is_zip = holds_zip(file, state.st_size)
    content = "zip" if is_zip or head.startswith(b"PK\x03\x04") else content_of(head)
    if name == WEIGHTS_FILE or content is None:
        return  # the reader of weights says it itself, by the whole header
    if content in ("pickle", "zip") and lower.endswith(".safetensors") and _is_safetensors(path, n_bytes):
        return
    _report(content, name, book)


def content_of(head: bytes) -> str | None:
    """Return what a file's first bytes are: "pickle", "archive", "program", "script" or None."""
    if is_pickle(head) or head.startswith(b"\x93NUMPY"):
        return "pickle"
    if head.startswith(_ARCHIVE_STARTS) or head[257:262] == b"ustar":
        return "archive"
    if head.startswith(_PROGRAM_STARTS):
        return "program"
    return "script" if head.startswith(b"#!") else None


def is_pickle(head: bytes) -> bool:
    """Return whether bytes start like a pickle; its opcodes are named, never run."""
    if _OLD_PICKLE.match(head):
        return True
    if len(head) < 3 or head[0] != 0x80 or not 2 <= head[1] <= 5:
        return False
    if _could_frame_safetensors(head):
        return False
    n_opcodes = 0
    try:
        for _ in pickletools.genops(head):
            n_opcodes += 1
    except (ValueError, IndexError, struct.error, OverflowError, MemoryError):
        pass  # the head ends in the middle of one
    return n_opcodes >= _MIN_OPCODES


def _could_frame_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and head[4:8] == bytes(4)


def _is_safetensors(path: Path, n_bytes: int) -> bool:
    try:
        with SafetensorsFile(path, max_bytes=max(n_bytes, 1)):
            return True
    except AdapterRefusedError:
        return False


def _report(content: str, name: str, book: FindingBook) -> None:
    named = shown(name)
    remedy = "Do not open it with any other program; ask the author what it is for."
    is_json = name.lower().endswith((".json", ".md", ".txt", *OTHER_WEIGHTS))
    if content == "pickle":
        sentence = f"The file '{named}' holds a Python pickle; opening one can run any program."
        book.note("pickle-in-disguise", sentence, where=name, changes=remedy)
    elif content == "zip":
        book.note("zip-in-disguise", f"The file '{named}' is a zip archive.", where=name, changes=remedy)
    elif content == "script" and not is_json:
        sentence = f"The file '{named}' is a script by its first line; it was not run."
        book.note("code-file", sentence, where=name, changes=remedy)
    elif not (content == "program" and name.lower().endswith(CODE)):
        sentence = (
            f"The file '{named}' is {'an archive' if content == 'archive' else 'a program'} by its content."
        )
        book.note("disguised-file", sentence, where=name, changes=remedy)


def link_leaves(name: str, target: str) -> bool:
    """Return whether a link's text leads out of the folder; nothing is followed."""
    place = os.path.normpath(os.path.join("/folder", os.path.dirname(name), target))
    return not (place + "/").startswith("/folder/")
