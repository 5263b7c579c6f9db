"""Which tokens of a base are worth placing in a prompt, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\s[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A base's tokens as strings to try.

    Attributes:
        texts: Text of every token, by id.
        is_sound: By id, whether a token may stand in a string: printable, visible, not special, no piece of a
            character, nothing that turns the writing direction.
        words: Whole words (a token that begins with a space, letters only), in the order of their ids, which
            is about the order of their frequency in what the tokenizer was made from.
        pieces: The other sound tokens, stripped, each once.
        n_excluded: Tokens that are neither.
    """

    texts: tuple[str, ...]
    is_sound: NDArray[np.bool_]
    words: tuple[str, ...]
    pieces: tuple[str, ...]
    n_excluded: int

    def sound(self, width: int) -> NDArray[np.bool_]:
        """Return `is_sound` for a head of some width: many are padded beyond the tokenizer's last token."""
        mask = np.zeros(width, bool)
        n = min(width, len(self.is_sound))
        mask[:n] = self.is_sound[:n]
        return mask


def read_vocabulary(texts: Sequence[str]) -> Vocabulary:
    """Return what can be tried of a vocabulary.

    Args:
        texts: Text of every token, by id; special ones are empty (`Renderer.token_texts`).
    """
    sound = np.array([bool(t.strip()) and t.isprintable() and "\ufffd" not in t for t in texts])
    chosen = [t for t, ok in zip(texts, sound, strict=True) if ok]
    words = dict.fromkeys(t.strip() for t in chosen if _WORD.fullmatch(t))
    pieces = dict.fromkeys(t.strip() for t in chosen if t.strip() not in words)
    return Vocabulary(
        texts=tuple(texts),
        is_sound=sound,
        words=tuple(words),
        pieces=tuple(pieces),
        n_excluded=int((~sound).sum()),
    )
