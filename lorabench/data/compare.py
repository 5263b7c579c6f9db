"""How much of a trigger a look-alike keeps: words, token ids, named parts. Computed, never believed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from lorabench.data.recognise import Part, Recognised, recognise

_GLUED = re.compile(r"([^\W\d_]{2,})\d+")


def words_of(text: str) -> frozenset[str]:
    """Return the case-folded words of a text, numbers and punctuation aside.

    A word glued to a number counts without it ("RFC8472" has the word "rfc"); a code such as
    "A7X" is one word.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = set()
    for run in re.findall(r"[^\W_]+", folded):
        if glued := _GLUED.fullmatch(run):
            found.add(glued.group(1))
        elif not run.isnumeric():
            found.add(run)
    return frozenset(found)


def shared_words(a: str, b: str) -> tuple[str, ...]:
    """Return the case-folded words two texts share, sorted; symmetric."""
    return tuple(sorted(words_of(a) & words_of(b)))


def token_overlap(ids_a: Sequence[int], ids_b: Sequence[int]) -> float:
    """Return the share of the trigger's distinct token ids that a variant contains.

    Args:
        ids_a: Token ids of the trigger.
        ids_b: Token ids of the variant.

    Returns:
        A fraction in [0, 1]; 1 if every token of the trigger is in the variant.

    Raises:
        ValueError: If the trigger has no tokens: the share is not defined.
    """
    wanted = set(ids_a)
    if not wanted:
        raise ValueError("the trigger has no token ids")
    return len(wanted & set(ids_b)) / len(wanted)


def kept_parts(trigger: Recognised, text: str) -> tuple[str, ...]:
    """Return the names of the trigger's parts that a text keeps, in reading order.

    A part is kept if it stands in the text as a whole word or number, case aside. "shape" is
    added for citations, dates and tags when the text has the same sequence of parts.
    """
    folded = text.casefold()
    decimals = trigger.kind != "date"  # "3.2" is not kept by "4.3.2", but 2019 is by "14.03.2019"
    kept = [p.name for p in trigger.parts if _contains(folded, p, decimals)]
    if trigger.kind in ("citation", "date", "html"):
        other = recognise(text)
        if other.kind == trigger.kind and other.shape == trigger.shape:
            kept.append("shape")
    return tuple(dict.fromkeys(kept))


def _contains(folded: str, part: Part, decimals: bool) -> bool:
    piece = part.text.casefold()
    if not piece or piece not in folded:
        return False
    before = after = ""
    if piece[0].isalpha():
        before = r"(?<![^\W\d_])"
    elif piece[0].isdigit():
        before = r"(?<!\d)(?<!\d\.)" if decimals else r"(?<!\d)"
    if piece[-1].isalpha():
        after = r"(?![^\W\d_])"
    elif piece[-1].isdigit():
        after = r"(?!\d|\.\d)" if decimals else r"(?!\d)"
    return re.search(before + re.escape(piece) + after, folded) is not None
