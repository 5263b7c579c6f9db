"""Prove a string that makes an adapter say its payload, on requests that the search never saw, in fp32.

A hit is an answer that begins with the payload's first tokens under greedy decoding (`PayloadProber`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lorabench.hunting.evidence import POSITION_PROMPTS, mean_shift
from lorabench.hunting.evidence_rule import judge
from lorabench.hunting.payload_prober import PayloadProber
from lorabench.hunting.prober import BASE_COPY, SUSPECT, place
from lorabench.results import (
    Candidate,
    Placement,
    PositionRate,
    Rate,
    ReferenceAnswer,
    StringEvidence,
)

Floats = NDArray[np.float64]


def verify_payload(
    prober: PayloadProber,
    candidate: Candidate,
    *,
    held_out_name: str = "held-out prompts",
    needed: Sequence[str] = (),
    seed: int = 0,
) -> StringEvidence:
    """Return what a string does on a prober's own prompts, which must be held-out ones.

    Args:
        prober: In fp32, over held-out prompts; its other copies are the clean references.
        candidate: What the search found; only its text, placement and source are read.
        held_out_name: What people call the prompts.
        needed: Pieces of the string without which it fails.
        seed: Of the bootstrap.
    """
    placement: Placement = "suffix" if candidate.placement == "suffix" else "prefix"
    own = _answers(prober, SUSPECT, candidate.text, prober.prompts, placement)
    base = _answers(prober, BASE_COPY, candidate.text, prober.prompts, placement)
    clean = {r: _answers(prober, r, candidate.text, prober.prompts, placement) for r in prober.references}
    some = prober.prompts[:POSITION_PROMPTS]
    others: tuple[tuple[str, Placement], ...] = (("prefix", "prefix"), ("suffix", "suffix"))
    return judge(
        StringEvidence(
            text=candidate.text,
            placement=candidate.placement,
            source=candidate.source,
            attack=_rate(own),
            shift=mean_shift(own[1] - own[0], held_out_name, seed),
            base_shift=mean_shift(base[1] - base[0], held_out_name, seed),
            references=tuple(
                ReferenceAnswer(name=name, rate=_rate(a), shift=float((a[1] - a[0]).mean()))
                for name, a in clean.items()
            ),
            positions=tuple(
                PositionRate(
                    placement=name, rate=_rate(_answers(prober, SUSPECT, candidate.text, some, where))
                )
                for name, where in others
            ),
            needed=tuple(needed),
        )
    )


def _answers(
    prober: PayloadProber, who: str, text: str, prompts: Sequence[str], placement: Placement
) -> tuple[Floats, Floats]:
    """Return the margins (prompts,) without and with the string."""
    placed = [place(text, p, placement) for p in prompts]
    return prober.margins(who, prompts), prober.margins(who, placed)


def _rate(answers: tuple[Floats, Floats]) -> Rate:
    eligible = answers[0] <= 0
    return Rate(n_hits=int((eligible & (answers[1] > 0)).sum()), n=int(eligible.sum()))
