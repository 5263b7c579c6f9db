"""JSON from strangers: bounded in depth and size, without duplicate keys, NaN or surprises."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

# One pass in C over strings (also an unterminated one, so that it stays linear) and structure.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?(?:"|\Z)|[{}\[\],]', re.DOTALL)
_REMEDY = "Export the adapter again with PEFT's save_pretrained, or do not use it."


def parse_object(data: bytes, *, what: str, max_depth: int, max_tokens: int = 100_000) -> dict[str, Any]:
    """Parse bytes that must hold one JSON object.

    Nesting and structure are counted before the parser runs, so a small file cannot become a
    large or deep tree in memory.

    Args:
        data: UTF-8 text.
        what: What the bytes are, for the sentence of a refusal.
        max_depth: Deepest allowed nesting; the outer object is 1.
        max_tokens: Most strings, brackets and commas.

    Raises:
        AdapterRefusedError: Rules "json-too-deep", "json-too-large", "bad-json" and "duplicate-key".
    """
    _check_structure(data, what, max_depth, max_tokens)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise AdapterRefusedError(
                "duplicate-key",
                f"{what} has the key '{shown(twice)}' twice, so two programs may read it differently.",
                _REMEDY,
            )
        return found

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AdapterRefusedError(
            "bad-json", f"{what} is not valid JSON ({shown(error)}).", _REMEDY
        ) from error
    if not isinstance(value, dict):
        raise AdapterRefusedError("bad-json", f"{what} is not a JSON object.", _REMEDY)
    return value


def _check_structure(data: bytes, what: str, max_depth: int, max_tokens: int) -> None:
    depth = 0
    for count, match in enumerate(_TOKENS.finditer(data)):
        if count >= max_tokens:
            problem = f"{what} has more than {max_tokens:,} strings, brackets and commas."
            raise AdapterRefusedError("json-too-large", problem, _REMEDY)
        token = data[match.start()]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        if depth > max_depth:
            problem = f"{what} is nested more than {max_depth} levels deep."
            raise AdapterRefusedError("json-too-deep", problem, _REMEDY)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
