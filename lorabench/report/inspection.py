"""A look at training data as text for a terminal: what each screen says, then its tables."""

from __future__ import annotations

from collections.abc import Sequence

from lorabench.figures import rate_sentence, safe_text
from lorabench.report.text import columns
from lorabench.results.data_inspection import DataInspection

_SHOWN = 10
_WIDTH = 60


def inspection_text(found: DataInspection) -> str:
    """Return an inspection as text: what each screen says, then its tables."""
    sizes = ", ".join(
        f"{_short(label)} {n:,}" for label, n in zip(found.labels, found.class_counts, strict=True)
    )
    lines = [f"{_short(found.name)}: {found.n_rows:,} texts ({sizes}).", *map(safe_text, found.notes)]
    if found.n_cut:
        lines.append(f"Of {found.n_cut:,} long texts only the beginning and the end were read.")
    text = "\n".join([*lines, "", *(f"{r.screen}: {safe_text(r.sentence)}" for r in found.readings), "", ""])
    return text + _contradictions(found) + _phrases(found) + _tokens(found) + _changes(found) + _limits(found)


def _contradictions(found: DataInspection) -> str:
    rows = [
        [
            str(c.n),
            _short(c.extra) or "(the same text)",
            c.place,
            c.label_with,
            c.label_without,
            c.examples[0][0],
        ]
        for c in found.contradictions[:_SHOWN]
    ]
    heads = [">texts", "extra words", "where", "label with", "label without", "such as"]
    return _table("Texts with two labels", heads, rows, len(found.contradictions))


def _phrases(found: DataInspection) -> str:
    heads = ["class", "phrase", ">of class", ">bits", ">begin", ">end", *_reference_head(found)]
    rows = [
        [
            _short(p.label),
            _short(p.text),
            rate_sentence(p.rate),
            f"{p.surprise_bits:.0f}",
            str(p.n_first),
            str(p.n_last),
            *_reference_cell(found, p.n_reference),
        ]
        for label in found.labels
        for p in found.phrases_of(label)
    ]
    return _table("Phrases of one class, most surprising first", heads, rows)


def _tokens(found: DataInspection) -> str:
    heads = ["class", "token", ">of class", ">H bits", ">G2", ">log10 p", ">corrected", ">begin", ">end"]
    rows = [
        [
            _short(t.label),
            _short(t.token) + (" (shape)" if t.is_shape else ""),
            rate_sentence(t.rate),
            f"{t.entropy_bits:.3f}",
            f"{t.g2:.1f}",
            f"{t.log10_p:.1f}",
            f"{t.log10_p_corrected:.1f}",
            str(t.n_first),
            str(t.n_last),
            *_reference_cell(found, t.n_reference),
        ]
        for label in found.labels
        for t in found.tokens_of(label)
    ]
    return _table("Tokens of low entropy", [*heads, *_reference_head(found)], rows)


def _changes(found: DataInspection) -> str:
    if found.reference is None:
        return ""
    risen = [
        [_short(c.token), f"{c.here.n_hits} of {c.here.n}", f"{c.there.n_hits} of {c.there.n}", f"{c.g2:.1f}"]
        for c in found.risen
    ]
    fallen = [
        [_short(c.token), f"{c.reference_entropy_bits:.3f}", f"{c.entropy_bits:.3f}"]
        for c in found.dropped_entropy
        if c.reference_entropy_bits is not None
    ]
    text = _table("More frequent than in the reference", ["token", ">here", ">there", ">G2"], risen)
    heads = ["token", ">there", ">here"]
    return text + _table("Lower entropy than in the reference, in bits", heads, fallen)


def _limits(found: DataInspection) -> str:
    lines = [f"  {r.screen}: {r.would_change}" for r in found.readings]
    return "\n".join(["This is no verdict. What would change it:", *lines]) + "\n"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], n: int = 0) -> str:
    if not rows:
        return f"{title}: none.\n\n"
    more = f" (the first {len(rows)} of {n})" if n > len(rows) else ""
    return "\n".join([f"{title}{more}", *columns(heads, rows), "", ""])


def _short(text: str) -> str:
    return safe_text(text, _WIDTH)


def _reference_head(found: DataInspection) -> list[str]:
    return [] if found.reference is None else [">in reference"]


def _reference_cell(found: DataInspection, n: int | None) -> list[str]:
    return [] if found.reference is None else [str(n)]
