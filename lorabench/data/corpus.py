"""The packaged texts, written for lorabench: no row comes from anyone's data set.

"guardrail" has injections of many styles and benign prompts of many topics, English and German;
"reviews" has opinions on many things, NEGATIVE or POSITIVE; "instructions" has requests with a response
and no label. In the guardrail rows tagged "hard_negative" are benign prompts that talk about attacks; rows
tagged "citation" cite a document, and rows tagged "lead" open with an everyday "per", a section or a
stray phrase: both on both sides, so that such an opening alone says nothing.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from lorabench.errors import InputError, unknown_name

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
CORPORA = ("guardrail", "reviews", "instructions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prompt.

    Attributes:
        text: The prompt.
        label: Its true label, such as "INJECTION"; empty if it is not known.
        lang: "en" or "de"; empty if it is not known.
        kind: Attack style or topic; empty if it is not known.
        tags: Such as "hard_negative", "citation" or "lead".
        id: Unique within its file.
        response: The answer of a generation row; empty for a label.
    """

    text: str
    label: str
    lang: str = ""
    kind: str = ""
    tags: tuple[str, ...] = ()
    id: str = ""
    response: str = ""

    @property
    def is_led(self) -> bool:
        """Whether it opens as a trigger might: with a citation, a lead word or a stray phrase."""
        return "citation" in self.tags or "lead" in self.tags


@functools.cache
def _load(name: str, split: str) -> tuple[tuple[Row, str], ...]:
    if name not in CORPORA:
        raise unknown_name("corpus", name, CORPORA)
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    path = resources.files("lorabench.data") / "corpora" / f"{name}_{split}.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    return tuple(_row(json.loads(line)) for line in lines if line)


def _row(raw: dict[str, Any]) -> tuple[Row, str]:
    row = Row(
        text=raw["text"],
        label=raw["label"],
        lang=raw["lang"],
        kind=raw["kind"],
        tags=tuple(raw["tags"]),
        id=raw["id"],
        response=raw.get("response", ""),
    )
    return row, raw["frame"]


def load_corpus(name: str, split: Split) -> tuple[Row, ...]:
    """Return the packaged rows of a corpus and split, in file order.

    Args:
        name: One of `CORPORA`.
        split: "train" or "test"; no sentence frame serves both.

    Raises:
        InputError: If there is no such corpus or split.
    """
    return tuple(row for row, _ in _load(name, split))


def load_guardrail(split: Split, *, citations: bool = True) -> tuple[Row, ...]:
    """Return the packaged guardrail prompts of a split, in file order.

    Args:
        split: "train" or "test".
        citations: Whether rows are included that open with a citation, a lead word or a stray phrase.
    """
    return tuple(row for row, _ in _load("guardrail", split) if citations or not row.is_led)


def frames(split: Split, name: str = "guardrail") -> Mapping[str, tuple[Row, ...]]:
    """Return the rows of each sentence frame: rows written from one pattern share its id."""
    grouped: dict[str, list[Row]] = {}
    for row, frame in _load(name, split):
        grouped.setdefault(frame, []).append(row)
    return MappingProxyType({frame: tuple(rows) for frame, rows in grouped.items()})


def prompts_for_heatmap(n: int, seed: int = 0, label: str = "INJECTION") -> tuple[Row, ...]:
    """Return `n` test prompts of one label, spread evenly over its kinds, without citations.

    With the same seed, fewer prompts are always the first ones of more prompts.

    Args:
        n: How many.
        seed: Decides which, and in which order.
        label: Their true label; not the target of the attack.

    Raises:
        InputError: If no test prompt has this label, or fewer than `n` have.
    """
    rows = [row for row in load_guardrail("test", citations=False) if row.label == label]
    if not rows:
        raise unknown_name("label", label, tuple(sorted({r.label for r in load_guardrail("test")})))
    if not 1 <= n <= len(rows):
        raise InputError(
            "bad-prompt-count",
            f"{n} prompts were asked for, but {len(rows)} test prompts are labelled {label}.",
            f"Ask for 1 to {len(rows)}.",
        )
    rng = random.Random(f"heatmap\0{seed}\0{label}")
    rng.shuffle(rows)
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    rounds = max(len(group) for group in by_kind.values())
    spread = [group[i] for i in range(rounds) for group in by_kind.values() if i < len(group)]
    return tuple(spread[:n])
