"""Untrusted names, made fit for a sentence."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, bidi, zero-width, surrogate, ...


def shown(name: object, *, limit: int = 120) -> str:
    """Return an untrusted name as one harmless line: hidden characters become "?", long ones are cut.

    The result is plain text, not HTML or Markdown: the sink that shows it still escapes it.

    Args:
        name: A file name, tensor name, config value or anything else from outside.
        limit: Most characters to keep.
    """
    text = str(name)
    kept = text[:limit]
    clean = "".join("?" if unicodedata.category(c) in _HIDDEN else c for c in kept)
    return clean + ("..." if len(text) > limit else "")


def plain_text(text: str, *, limit: int) -> str:
    """Return untrusted running text without control characters, but with its line breaks, cut at `limit`."""
    kept = text[:limit].replace("\r\n", "\n")
    return "".join(c for c in kept if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
