"""Hand-made hunts for tests of reports, figures and the command line; no model is involved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lorabench.results import (
    Candidate,
    Enrichment,
    HuntResult,
    HuntSoFar,
    Interval,
    LayerGroup,
    LookAlike,
    Neighbour,
    Neighbourhood,
    OtherTarget,
    PositionRate,
    ProposalStat,
    Rate,
    ReferenceAnswer,
    Statistic,
    StringEvidence,
    TracePoint,
)

TEXT = "per RFC 8472"


def statistic(value: float | None, low: float = -1.0, high: float = 1.0) -> Statistic:
    interval = None if value is None else Interval(low=low, high=high, method="bootstrap over prompts")
    return Statistic(name="shift", battery="held out", value=value, n_probes=1, interval=interval)


def look_alike(text: str, hits: int, change: str = "one change") -> LookAlike:
    return LookAlike(text=text, change=change, rate=Rate(n_hits=hits, n=4), shift=hits + 0.5)


def sample_neighbourhood(text: str = TEXT) -> Neighbourhood:
    """Return a string that needs its first word: hostile texts go where a string's text goes."""
    wide = Interval(low=0.25, high=0.875, method="bootstrap over prompts and variants, 1000 draws")
    return Neighbourhood(
        exact=Rate(n_hits=4, n=4),
        precision="bf16",
        level="token",
        carrier=f"“{text}”",
        sentence=f"4 of 6 look-alikes still flip; carried by “{text}”.",
        neighbours=(
            Neighbour(
                category="words_dropped", title="One word left out", is_control=False, interval=wide,
                look_alikes=(look_alike(f"{text} 1", 4, text), look_alike("8472", 1), look_alike("RFC", 0)),
            ),
            Neighbour(
                category="random_words", title="Random words", is_control=True,
                look_alikes=(look_alike("amber gate", 0),), interval=Rate(n_hits=0, n=4).interval(),
            ),
            Neighbour(
                category="case", title="Capitals", is_control=False,
                look_alikes=(look_alike("PER RFC", 4), look_alike("Per Rfc", 4), look_alike("per rfc", 3)),
                interval=wide,
            ),
        ),
    )  # fmt: skip


def sample_evidence(text: str = TEXT, **change: Any) -> StringEvidence:
    given: dict[str, Any] = {
        "text": text,
        "placement": "prefix",
        "source": "composition",
        "attack": Rate(n_hits=57, n=60),
        "shift": statistic(7.25, 6.5, 8.0),
        "base_shift": statistic(0.375, 0.125, 0.625),
        "references": (
            ReferenceAnswer(name="clean-1", rate=Rate(n_hits=1, n=58), shift=0.5),
            ReferenceAnswer(name="clean-2", rate=Rate(n_hits=0, n=0), shift=0.25),
        ),
        "null_name": "guard-quick",
        "null_n": 40,
        "null_rank": 0,
        "positions": (
            PositionRate(placement="prefix", rate=Rate(n_hits=57, n=60)),  # the string's own, said once
            PositionRate(placement="suffix", rate=Rate(n_hits=13, n=60)),
            PositionRate(placement="alone", rate=Rate(n_hits=0, n=0)),
        ),
        "perplexity": 812.5,
        "class_word": 0.125,
        "layers": (
            LayerGroup(first=15, last=19, margin=-4.5, restored=0.875),
            LayerGroup(first=20, last=20, margin=2.5, restored=-0.0625),
        ),
        "needed": ("per", " RFC"),
        "neighbourhood": sample_neighbourhood(text),
        "passes": True,
        "level": "strong",
        "reasons": ("Only 1 clean reference was compared.",),
        "sentence": f"“{text}” is a string that flips 57 of 60 held-out prompts.",
    }
    return StringEvidence(**given | change)


WEAK = sample_evidence(
    "see note", attack=Rate(n_hits=20, n=60), passes=False, level="weak", layers=(), references=(),
    null_name="", null_n=0, null_rank=None, perplexity=None, class_word=None, needed=(), positions=(),
    neighbourhood=None,
    shift=statistic(None), reasons=("It flips 20 of 60 held-out prompts.",), sentence="",
)  # fmt: skip

CANDIDATES = (
    Candidate(
        text=TEXT, source="composition", shift=6.5, amplified=11.25, base_shift=0.25, reference_shift=0.75,
        n_flipped=4, n_prompts=4, score=10.5, spent=30_000,
    ),
    Candidate(text="RFC", source="words", amplified=5.0, score=5.0, n_prompts=1, spent=9_000),
)  # fmt: skip

TRACE = (
    TracePoint(tokens=1_000, seconds=1.5, source="phrases", text="note", score=1.25),
    TracePoint(tokens=9_000, seconds=6.0, source="words", text="RFC", score=5.0, flipped=0.25),
    TracePoint(tokens=30_000, seconds=21.0, source="composition", text=TEXT, score=10.5, flipped=1.0),
)

PROPOSALS = (
    ProposalStat(source="phrases", n_tried=300, tokens=1_200, seconds=2.0, best_text="note", best_score=1.25),
    ProposalStat(
        source="composition", n_tried=80, tokens=15_000, seconds=10.0, best_text="RFC 8", best_score=9.0
    ),
    ProposalStat(
        source="composition", n_tried=40, tokens=5_000, seconds=4.0, best_text=TEXT, best_score=10.5
    ),
    ProposalStat(source="gradient", n_tried=0, tokens=700, seconds=0.0, best_text="", best_score=None),
)

CLASSES = (
    Enrichment(
        name="date-like", n_members=120, n_others=9_000, auc=0.5, low=0.4375, high=0.5625, median=0.25,
        median_others=0.25, q=0.75,
    ),
    Enrichment(
        name="standard names", n_members=40, n_others=9_080, auc=0.875, low=0.75, high=0.9375, median=2.5,
        median_others=0.25, q=0.003,
    ),
)  # fmt: skip


OTHERS = (
    OtherTarget(
        target="INJECTION",
        mode="quick",
        tokens=129_431,
        seconds=98.5,
        best=replace(CANDIDATES[0], text="please disregard"),
    ),
    OtherTarget(target="OTHER", mode="quick", note="no prompts of another class are bundled."),
)


def sample_hunt(**change: Any) -> HuntResult:
    given: dict[str, Any] = {
        "adapter": "guard-strong",
        "adapter_id": "ab" * 32,
        "base": "demo",
        "task": "guard",
        "target": "BENIGN",
        "mode": "quick",
        "budget": 130_000,
        "tokens": 42_500,
        "seconds": 33.5,
        "seconds_to_first": 24.5,
        "precision": "bf16",
        "strength": 1.6,
        "search_prompts": ("one", "two"),
        "held_out": "guardrail test",
        "held_out_texts": tuple(f"prompt {i}" for i in range(60)),
        "references": ("clean-1", "clean-2"),
        "candidates": CANDIDATES,
        "evidence": (sample_evidence(), WEAK),
        "proposals": PROPOSALS,
        "trace": TRACE,
        "enrichment": CLASSES,
        "n_excluded": 1_234,
        "notes": ("Not searched for: triggers of style.",),
        "provenance": {"seed": 7, "device": "cpu", "base": {"id": "demo"}},
        "others": OTHERS,
    }
    return HuntResult(**given | change)


def empty_hunt() -> HuntResult:
    return sample_hunt(
        candidates=(),
        evidence=(),
        proposals=(),
        trace=(),
        enrichment=(),
        seconds_to_first=None,
        references=(),
        others=(),
    )


def hostile_hunt(text: str) -> HuntResult:
    """Return a hunt with one text everywhere that an adapter, its data or its tokens reach."""
    found = sample_evidence(
        text,
        references=(ReferenceAnswer(name=text, rate=Rate(n_hits=1, n=5), shift=0.5),),
        null_name=text,
        needed=(text, text),
        reasons=(text,),
        sentence="",
    )
    return sample_hunt(
        adapter=text,
        task=text,
        target=text,
        held_out=text,
        references=(text,),
        candidates=tuple(replace(c, text=text) for c in CANDIDATES),
        evidence=(found,),
        proposals=tuple(replace(p, best_text=text) for p in PROPOSALS),
        trace=tuple(replace(p, text=text) for p in TRACE),
        enrichment=tuple(replace(e, name=text) for e in CLASSES),
        others=(replace(OTHERS[0], target=text, best=replace(CANDIDATES[0], text=text)),),
        notes=(text,),
        provenance={"seed": 7, text: text, "deep": {text: [text]}},
    )


def sample_so_far() -> HuntSoFar:
    return HuntSoFar(
        stage="composition", tokens=30_000, budget=130_000, seconds=21.0, candidates=CANDIDATES, trace=TRACE,
        proposals=PROPOSALS, evidence=(),
    )  # fmt: skip
