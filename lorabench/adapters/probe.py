"""What a file really is, from its first bytes: looked at, never opened by anything that could act on it."""

from __future__ import annotations

import io
import os
from pathlib import Path

from lorabench.adapters.book import FindingBook
from lorabench.adapters.files import open_regular
from lorabench.adapters.inventory import ARCHIVES, CODE, PICKLES
from lorabench.adapters.signatures import HEAD_BYTES, content_of, holds_zip
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError


def probe_file(path: Path, name: str, n_bytes: int, book: FindingBook) -> None:
    """Compare what a regular file holds with what its name says; only a few hundred bytes are read.

    Files with the name of a pickle or an archive are reported for that name alone.

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
    if content is not None:
        _report(content, name, book)


def _report(content: str, name: str, book: FindingBook) -> None:
    rules = {"pickle": "pickle-in-disguise", "zip": "zip-in-disguise", "script": "code-file"}
    words = {
        "pickle": "a Python pickle, and opening one can run any program",
        "zip": "a zip archive",
        "archive": "an archive",
        "program": "a program",
        "script": "a script by its first line",
    }
    if content in ("program", "script") and name.lower().endswith(CODE):
        return  # it is what it says, and reported for its name
    sentence = f"The file '{shown(name)}' holds {words[content]}; nothing of it was run or unpacked."
    remedy = "Do not open it with any other program; ask the author what it is for."
    book.note(rules.get(content, "disguised-file"), sentence, where=name, changes=remedy)


def link_leaves(name: str, target: str) -> bool:
    """Return whether a link's text leads out of the folder; nothing is followed."""
    place = os.path.normpath(os.path.join("/folder", os.path.dirname(name), target))
    return not (place + "/").startswith("/folder/")
