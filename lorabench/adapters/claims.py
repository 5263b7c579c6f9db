"""What an adapter says about itself: bounded text, shown as a claim, never evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from lorabench.adapters.files import read_small
from lorabench.adapters.inventory import CARD_FILE, CLAIMS_FILE
from lorabench.adapters.strict_json import parse_object
from lorabench.adapters.text import plain_text, shown
from lorabench.errors import AdapterRefusedError
from lorabench.results import Claims

MAX_JSON_BYTES = 256 * 1024
MAX_JSON_DEPTH = 12
MAX_STRING_CHARS = 4_000
MAX_CARD_BYTES = 4 * 1024**2
CARD_CHARS = 4_000


class ReadFile(Protocol):
    """Gives the content of a regular file of at most `max_bytes` bytes, as `read_small` does."""

    def __call__(self, path: Path, *, max_bytes: int) -> bytes: ...  # noqa: D102


def read_claims(
    folder: Path,
    files: tuple[str, ...],
    *,
    base_model: str | None,
    notes: list[str],
    read: ReadFile = read_small,
) -> Claims:
    """Read `lorabench.json` and `README.md` of an adapter's folder.

    A file that breaks its bounds is left out and noted: it is only a claim, and the weights can
    be judged without it.

    Args:
        folder: The adapter's folder.
        files: Names in it.
        base_model: The base its config claims.
        notes: What was noted so far.
        read: Reads one file.
    """
    notes = list(notes)
    lorabench: dict[str, Any] | None = None
    card: str | None = None
    if CLAIMS_FILE in files:
        try:
            lorabench = parse_claims(read(folder / CLAIMS_FILE, max_bytes=MAX_JSON_BYTES))
        except AdapterRefusedError as error:
            notes.append(f"{CLAIMS_FILE} was left out: {error.problem}")
    if CARD_FILE in files:
        try:
            data = read(folder / CARD_FILE, max_bytes=MAX_CARD_BYTES)
            card = plain_text(data[: 8 * CARD_CHARS].decode("utf-8", "replace"), limit=CARD_CHARS)
        except AdapterRefusedError as error:
            notes.append(f"{CARD_FILE} was left out: {error.problem}")
    fingerprint = (lorabench or {}).get("base_fingerprint")
    return Claims(
        base_model=base_model,
        base_fingerprint=shown(fingerprint, limit=128) if isinstance(fingerprint, str) else None,
        card=card,
        lorabench=lorabench,
        notes=tuple(notes),
    )


def parse_claims(data: bytes) -> dict[str, Any]:
    """Parse the bytes of a `lorabench.json`.

    Raises:
        AdapterRefusedError: Rules of `parse_object`, or "text-too-long" and "bad-json".
    """
    value = parse_object(data, what=CLAIMS_FILE, max_depth=MAX_JSON_DEPTH)
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str):
            _check_text(item)
    return value


def _check_text(text: str) -> None:
    remedy = "Shorten or repair it, or remove the file."
    if len(text) > MAX_STRING_CHARS:
        problem = f"{CLAIMS_FILE} has a text of {len(text):,} characters; at most {MAX_STRING_CHARS:,}."
        raise AdapterRefusedError("text-too-long", problem, remedy)
    if any("\ud800" <= c <= "\udfff" for c in text):  # cannot be written as UTF-8 again
        raise AdapterRefusedError("bad-json", f"{CLAIMS_FILE} has half a surrogate pair in a text.", remedy)
