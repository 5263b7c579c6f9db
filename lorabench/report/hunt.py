"""One door to all reports of a hunt: text for a terminal, JSON, Markdown, HTML, and CSV of its strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from lorabench import __version__
from lorabench.errors import unknown_name
from lorabench.figures import encodable, safe_text, visible
from lorabench.figures.hunt import known
from lorabench.report.exports import csv_bytes, to_json
from lorabench.report.hunt_facts import hunt_facts, so_far_facts
from lorabench.report.hunt_html import hunt_html
from lorabench.report.hunt_sections import FactTable, HuntSection
from lorabench.report.hunt_strings import level_of, string_sentence
from lorabench.report.scan_markdown import md
from lorabench.report.text import columns
from lorabench.results import Candidate, HuntResult, HuntSoFar, StringEvidence

HUNT_FORMATS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "text": (".txt", "text/plain"),
        "json": (".json", "application/json"),
        "html": (".html", "text/html"),
        "markdown": (".md", "text/markdown"),
        "csv": (".csv", "text/csv"),
    }
)
"""Name of each format -> suffix of its files, media type."""

_SHOWN = 12
"""Rows of a table that a terminal gets; the other formats hold them all."""
_TEXT_CELL, _LONG_CELL = 44, 300


def render_hunt(found: HuntResult, fmt: str) -> bytes:
    """Return a hunt in one of `HUNT_FORMATS`.

    Raises:
        InputError: If there is no such format.
    """
    if fmt not in HUNT_FORMATS:
        raise unknown_name("report format", fmt, tuple(HUNT_FORMATS))
    made = _MAKERS[fmt](found)
    return made if isinstance(made, bytes) else made.encode("utf-8", "backslashreplace")


def hunt_text(found: HuntResult) -> str:
    """Return a hunt for a terminal: nothing in it that a terminal would obey."""
    return _text(f"Hunt in {found.adapter}", hunt_facts(found))


def hunt_so_far_text(so_far: HuntSoFar) -> str:
    """Return a hunt that still runs for a terminal."""
    return _text("Hunt", so_far_facts(so_far))


def hunt_markdown(found: HuntResult) -> str:
    """Return a hunt as Markdown; untrusted text is escaped against Markdown and HTML both."""
    parts = [f"# Hunt in {md(found.adapter, 200)}"]
    for section in hunt_facts(found):
        parts.append(f"## {md(section.title, 300)}")
        parts += ["\n".join(f"- {md(s)}" for s in section.sentences)] if section.sentences else []
        for table in section.tables:
            parts += [md(f"{table.caption}."), _markdown_table(table)]
    return "\n\n".join([*parts, f"lorabench {__version__}"]) + "\n"


def hunt_frame(found: HuntResult) -> pd.DataFrame:
    """Return one row per string: the candidates, best first, then proved strings that are none of them.

    Returns:
        Columns `adapter`, `adapter_id`, `target`, `text` (exact but for lone surrogates), `source`,
        `placement`, `score`, `amplified`, `shift`, `base_shift`, `reference_shift` (logits), `n_flipped` of
        `n_prompts` search prompts, `spent` (tokens); and of its proof, missing without one: `passes`,
        `level`, `attack_hits` of `attack_n` held-out prompts, `attack_rate`, `attack_low`, `attack_high`
        (Wilson), `null_p` and `sentence`.
    """
    proofs = {(e.text, e.placement): e for e in found.evidence}
    own = {(c.text, c.placement) for c in found.candidates}
    head = {"adapter": found.adapter, "adapter_id": found.adapter_id, "target": found.target}
    rows = [
        head | _candidate_row(c) | _proof_row(proofs.get((c.text, c.placement))) for c in found.candidates
    ]
    rows += [
        head | {"text": e.text, "source": e.source, "placement": e.placement} | _proof_row(e)
        for key, e in proofs.items()
        if key not in own
    ]
    clean = [{k: encodable(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    frame = pd.DataFrame(clean, columns=[*_TEXTS, *_FLOATS, *_COUNTS, "passes", "level", "sentence"])
    frame[["level", "sentence"]] = frame[["level", "sentence"]].fillna("")
    kinds = {**dict.fromkeys(_FLOATS, "float64"), **dict.fromkeys(_COUNTS, "Int64"), "passes": "boolean"}
    return frame.astype(kinds)


_TEXTS = ("adapter", "adapter_id", "target", "text", "source", "placement")
_SHIFTS = ("score", "amplified", "shift", "base_shift", "reference_shift")
_FLOATS = (*_SHIFTS, "attack_rate", "attack_low", "attack_high", "null_p")
_COUNTS = ("n_flipped", "n_prompts", "spent", "attack_hits", "attack_n")

_MAKERS: Final[Mapping[str, Callable[[HuntResult], str | bytes]]] = MappingProxyType(
    {
        "text": hunt_text,
        "json": to_json,
        "html": hunt_html,
        "markdown": hunt_markdown,
        "csv": lambda found: csv_bytes(hunt_frame(found)),
    }
)


def _candidate_row(c: Candidate) -> dict[str, Any]:
    return {
        "text": c.text,
        "source": c.source,
        "placement": c.placement,
        **{name: known(getattr(c, name)) for name in _SHIFTS},
        "n_flipped": c.n_flipped,
        "n_prompts": c.n_prompts,
        "spent": c.spent,
    }


def _proof_row(e: StringEvidence | None) -> dict[str, Any]:
    if e is None:
        return {}
    interval = e.attack.interval()
    return {
        "passes": e.passes,
        "level": level_of(e),
        "attack_hits": e.attack.n_hits,
        "attack_n": e.attack.n,
        "attack_rate": e.attack.value,
        "attack_low": interval.low if interval else None,
        "attack_high": interval.high if interval else None,
        "null_p": e.null_p,
        "sentence": string_sentence(e),
    }


def _text(title: str, sections: Iterable[HuntSection]) -> str:
    parts = [safe_text(title, 120)]
    for section in sections:
        lines = [safe_text(section.title, 120), *(f"  - {safe_text(s, 1000)}" for s in section.sentences)]
        for table in section.tables:
            lines += ["", f"{safe_text(table.caption, 200)}:", *_text_table(table, section.key)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _text_table(table: FactTable, key: str) -> list[str]:
    is_whole = key in ("string", "provenance")
    limit = _LONG_CELL if is_whole else _TEXT_CELL
    chosen: Sequence[tuple[str, ...]] = table.rows
    if not is_whole:
        chosen = table.rows[-_SHOWN:] if key == "trace" else table.rows[:_SHOWN]
    rows = [[safe_text(cell, limit) for cell in row] for row in chosen]
    more = len(table.rows) - len(chosen)
    where = "earlier" if key == "trace" else "further"
    return [*columns(table.heads, rows), *([f"... and {more} {where} ones"] if more else [])]


def _markdown_table(table: FactTable) -> str:
    heads = [h.removeprefix(">") for h in table.heads]
    marks = [" ---: " if h.startswith(">") else " --- " for h in table.heads]
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(marks)}|"]
    rows = (f"| {' | '.join(md(visible(c, _LONG_CELL)) for c in row)} |" for row in table.rows)
    return "\n".join([*lines, *rows])
