"""Untrusted text on its way to the screen: as itself, or escaped where Streamlit reads Markdown.

Prompts, triggers, tokens, adapter names, model cards and error sentences that quote them may
hold Markdown, HTML, LaTeX, emoji codes or `:material/...:` directives. `st.text`, `st.code` and
`st.dataframe` show text as it is; labels, captions, `st.error` and the like need `escape_markdown`.
"""

from __future__ import annotations

import re

import streamlit as st

from lorabench.figures.visible import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#~$:&|])")
_AT_LINE_START = re.compile(r"^(\d{0,9})([-+=.)])")  # lists, underlined headings, rules
# Streamlit rewrites these in finished text, where a backslash no longer helps: emoji and icon codes,
# arrows and dashes, bare addresses. An invisible word joiner keeps them as they were written.
_JOINER = "\u2060"
_REWRITTEN = re.compile(
    r":(?=[\w+\-/]+:)|(?<!\S)[-<>~](?=(?:->|>|-|=)(?!\S))|\bhttp(?=s?://)|\bwww(?=\.)|@(?=[\w-]+\.)",
    re.IGNORECASE,
)
_CODE = re.compile(r"`([^`\n]+)`")


def plain(text: object, limit: int | None = None) -> str:
    """Return any text on one line, hidden characters as visible marks; for labels escape it as well."""
    return visible(str(text), limit)


def escape_markdown(text: object) -> str:
    """Return Markdown that shows `text` literally in any Streamlit label, caption or message.

    Line breaks are kept as line breaks; nothing becomes a link, a formula, an icon or HTML.
    """
    return _escaped(str(text), starts_line=True)


def label(text: object, limit: int = 80) -> str:
    """Return a short text for a widget label or option: one line, visible, escaped."""
    return escape_markdown(plain(text, limit))


def sentence(text: object) -> str:
    """Return a sentence of ours that may quote untrusted text, as Markdown.

    Parts in backquotes (commands to run) are shown as code, everything else literally.
    """
    parts = _CODE.split(str(text))
    return "".join(f"`{p}`" if i % 2 else _escaped(p, starts_line=i == 0) for i, p in enumerate(parts))


def show_text(text: object, *, title: str | None = None) -> None:
    """Show a longer text exactly as it is, wrapped, with a copy button."""
    if title:
        st.caption(escape_markdown(title))
    st.code(str(text), language=None, wrap_lines=True)


def percent(value: float | None, digits: int = 0) -> str:
    """Return a fraction as a percentage, "not measured" for None."""
    return "not measured" if value is None else f"{value:.{digits}%}"


def signed(value: float | None, digits: int = 1) -> str:
    """Return a margin or shift with its sign (a true minus), "not measured" for None."""
    return "not measured" if value is None else f"{value:+.{digits}f}".replace("-", "\u2212")


def megabytes(n_bytes: int | None) -> str:
    """Return a file size for people, "unknown" for None."""
    if n_bytes is None:
        return "unknown"
    if n_bytes < 1_000_000:
        return f"{n_bytes / 1000:.0f} kB"
    return f"{n_bytes / 1_000_000:,.1f} MB" if n_bytes < 1_000_000_000 else f"{n_bytes / 1e9:,.2f} GB"


def duration(seconds: float | None) -> str:
    """Return a time span for people, "unknown" for None."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _escaped(text: str, *, starts_line: bool) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    return "  \n".join(_escaped_line(line, starts_line or i > 0) for i, line in enumerate(lines))


def _escaped_line(line: str, starts_line: bool) -> str:
    joined = _REWRITTEN.sub(lambda m: m.group() + _JOINER, line)
    escaped = _SPECIAL.sub(r"\\\1", joined)
    if not starts_line:
        return escaped
    rest = _AT_LINE_START.sub(r"\1\\\2", escaped.lstrip(" \t"))
    spaces = len(escaped) - len(escaped.lstrip(" \t"))  # four of them would make a code block
    return "\u00a0" * spaces + rest
