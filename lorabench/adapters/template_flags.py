"""What a chat template could hide, found by reading its text: it is never compiled or rendered.

A template decides what a model sees around every message. Published attacks put an instruction
behind a condition on the message, so that nobody sees it until the trigger is there
(arXiv 2602.04653), or leave the sandbox of the renderer (CVE-2024-34359).
"""

from __future__ import annotations

import difflib
import re
import unicodedata

from lorabench.adapters.book import FindingBook
from lorabench.adapters.text import plain_text, shown
from lorabench.results.findings import Fact

MAX_TEMPLATE_CHARS = 256 * 1024
MAX_DIFF_LINES = 500
_FACT_CHARS = 6_000
_SENTENCE_WORDS = 6
_ESCAPE = re.compile(r"__|\\(?:x5f|u005f|137)|\|\s*attr\b|\b(?:lipsum|cycler)\b", re.IGNORECASE)
_INCLUDE = re.compile(r"[-+\s]*(?:import|include|extends|from)\b")
_CONDITION = re.compile(r"[-+\s]*(?:if|elif)\b")
_LITERAL = re.compile(r"'[^']{0,2000}'|\"[^\"]{0,2000}\"")
_KEYS = frozenset(
    {
        "role",
        "content",
        "user",
        "assistant",
        "system",
        "tool",
        "tool_calls",
        "name",
        "type",
        "text",
        "function",
    }
)
_BETWEEN = re.compile(r"[%}#]\}|\{[%{#]")
_SET_TEXT = re.compile(r"[-+\s]*set\b[^=]{0,200}=[^'\"]{0,200}(?:'([^']{20,})'|\"([^\"]{20,})\")")
_ENCODED = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_ADDRESS = re.compile(r"(?:https?|ftp|data|javascript|file):[^\s'\"]{3,200}", re.IGNORECASE)


def check_template(text: str, name: str, base_text: str | None, book: FindingBook) -> None:
    """Report a chat template, what differs from the base's, and what it could hide.

    Args:
        text: The template.
        name: Where it stands, such as "chat_template.jinja".
        base_text: The base's template; None if it is not known.
        book: Takes what is found.
    """
    if text == base_text:
        return
    how = "differs from the base's" if base_text is not None else "could not be compared with the base's"
    book.note(
        "chat-template",
        f"The adapter brings a chat template of {len(text):,} characters ({shown(name)}), which {how}. "
        "It was not rendered.",
        where=name,
        changes="Use the base's template, or read this one line by line.",
        facts=(_difference(text, base_text),),
    )
    if len(text) > MAX_TEMPLATE_CHARS:
        book.note("template-text", "The template is too long to be read through.", where=name)
        return
    known = base_text or ""
    for rule, sentence, found in _flags(text):
        new = [piece for piece in found if piece not in known]
        if new:
            facts = tuple(Fact(name="excerpt", value=shown(piece, limit=300)) for piece in new[:5])
            book.note(rule, sentence, where=name, facts=facts, changes="Read the template before any use.")


def _flags(text: str) -> list[tuple[str, str, list[str]]]:
    """Return rule, sentence and the pieces of the template that it is about."""
    statements = _blocks(text, "{%", "%}")
    escapes = [inner for inner in statements + _blocks(text, "{{", "}}") if _ESCAPE.search(inner)]
    escapes += [inner for inner in statements if _INCLUDE.match(inner)]
    texts = [m[1] or m[2] for inner in statements if (m := _SET_TEXT.match(inner))]
    texts += [piece for piece in _own_texts(text, statements) if len(piece.split()) >= _SENTENCE_WORDS]
    hidden = sorted({f"U+{ord(c):04X}" for c in text if unicodedata.category(c) in ("Cf", "Co", "Cn")})
    hints = [m[0] for m in _ENCODED.finditer(text)] + [m[0] for m in _ADDRESS.finditer(text)]
    return [
        ("template-code", "The template reaches for attributes or files as sandbox escapes do.", escapes),
        (
            "template-condition",
            "The template has a condition on the content of a message or on the date.",
            [inner for inner in statements if _asks_content(inner)],
        ),
        (
            "template-text",
            "The template has text of its own, an address, encoded data or hidden characters.",
            texts + hints + hidden,
        ),
    ]


def _blocks(text: str, start: str, end: str) -> list[str]:
    """Return what stands between marks; the last may be open."""
    found: list[str] = []
    at = text.find(start)
    while at >= 0:
        stop = text.find(end, at + 2)
        if stop < 0:
            return [*found, text[at + 2 :]]
        found.append(text[at + 2 : stop])
        at = text.find(start, stop + 2)
    return found


def _own_texts(text: str, statements: list[str]) -> list[str]:
    """Return fixed text of a template: between its blocks, and in quotes inside of them."""
    outside = _BETWEEN.split(text)
    inside = [
        m[0][1:-1] for inner in statements + _blocks(text, "{{", "}}") for m in _LITERAL.finditer(inner)
    ]
    return [piece.strip() for piece in outside + inside]


def _asks_content(inner: str) -> bool:
    """Whether a condition compares what a message says (not only its role) with a text."""
    if not _CONDITION.match(inner):
        return False
    if "strftime_now" in inner:
        return True
    texts = [m[0][1:-1] for m in _LITERAL.finditer(inner)]
    return "content" in inner and any(t not in _KEYS for t in texts)


def _difference(text: str, base_text: str | None) -> Fact:
    if base_text is None:
        return Fact(name="template", value=plain_text(text, limit=_FACT_CHARS))
    ours, theirs = (plain_text(t, limit=MAX_TEMPLATE_CHARS).splitlines() for t in (base_text, text))
    if max(len(ours), len(theirs)) > MAX_DIFF_LINES:
        return Fact(name="template", value=plain_text(text, limit=_FACT_CHARS))
    lines = difflib.unified_diff(ours, theirs, "base", "adapter", lineterm="", n=2)
    return Fact(name="unified diff", value=plain_text("\n".join(lines), limit=_FACT_CHARS))
