"""Untrusted text made visible: prompts, triggers, tokens and adapter names, before any sink.

This is not escaping (each sink escapes for itself); it replaces characters that a screen
would hide, reorder or execute with a mark that a reader can see, so that a zero-width space
or a right-to-left override in a trigger is evidence instead of a trick.
"""

from __future__ import annotations

import re
import unicodedata

_ANSI = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # colours, cursor movement
    "|\x1b[\\]PX^_].*?(?:\x07|\x1b\\\\|$)"  # window title, hyperlink, device control
    "|\x1b[@-Z\\\\-_]"
    "|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
_NAMED = {"\n": "¶", "\r": "␍", "\t": "⇥", "\x7f": "␡", "\u2028": "¶", "\u2029": "¶"}
_MARKS_IN_A_ROW = 4  # more combining marks than any script stacks; the rest would paint over other lines


def visible(text: str, limit: int | None = None) -> str:
    """Return `text` on one line with every hidden character shown as a mark.

    Args:
        text: Any string, lone surrogates included.
        limit: Longest result in characters; a longer one ends in an ellipsis.

    Returns:
        Text that encodes to UTF-8 and holds no control, bidi or zero-width character:
        a line break is "¶", a tab "⇥", other controls their symbols ("␛"), and anything else
        invisible its code point ("⟨U+202E⟩"). The joiner inside an emoji is kept.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for i, char in enumerate(text):
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_IN_A_ROW or not _is_plain(text, i, char, category):
            shown.append(_mark(char, category))
        else:
            shown.append(char)
    return "".join(shown)


def safe_text(text: str, limit: int | None = None) -> str:
    """Return `text` for a terminal: like `visible`, each escape sequence folded into one "␛"."""
    return visible(_ANSI.sub("\x1b", text), limit)


def encodable(text: str) -> str:
    """Return `text` exactly, but for lone surrogates, which neither UTF-8 nor a data frame can hold."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _is_plain(text: str, i: int, char: str, category: str) -> bool:
    if char == " ":
        return True
    if char == "\u200d":  # zero-width joiner: only between two pictures
        around = text[i - 1 : i] + text[i + 1 : i + 2]
        return i > 0 and len(around) == 2 and all(ord(c) >= 0x2190 for c in around)
    return category[0] in "LMNPS"


def _mark(char: str, category: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    if category == "Zs":
        return "⍽"
    if category == "Cs":
        return "\ufffd"
    return f"⟨U+{ord(char):04X}⟩"
