"""Measure the adapters of a cohort: their weights, and what the probes make them do.

Adapters that begin at the same layer share everything below it, so a cohort is probed group by group
(`UpperScorer`); one that begins at the bottom goes through the engine like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabench.adapters import read_adapter
from lorabench.adapters.scanner import scan_folder
from lorabench.config import Config
from lorabench.detectors.probing import JOINER, ProbePlan, Respond, run_battery
from lorabench.detectors.weights import weigh
from lorabench.engine import Priority
from lorabench.errors import CancelledError, InputError
from lorabench.models import fetch
from lorabench.results import AdapterFacts, LabelTask, Member, Rate, WeightEvidence
from lorabench.workflows.probing import labelled, responder_for

if TYPE_CHECKING:
    from lorabench.workflows.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adapter to be measured for a cohort.

    Attributes:
        name: In the cohort.
        folder: Where it lies.
        kind: "clean", "strong", "weak" or "poisoned".
        split: "calibrate", "tune" or "test".
        trigger: What was planted; empty if clean or not known.
        settings: How it was made, as far as known.
    """

    name: str
    folder: Path
    kind: str
    split: str
    trigger: str = ""
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A candidate whose file was scanned and whose weights were measured."""

    candidate: Candidate
    facts: AdapterFacts
    weights: WeightEvidence

    @property
    def first_layer(self) -> int:
        """Lowest adapted layer; 0 where the names hold none."""
        return min((m.layer for m in self.weights.modules if m.layer is not None), default=0)


def weigh_candidate(candidate: Candidate, config: Config) -> Weighed:
    """Scan and weigh a candidate.

    Raises:
        InputError: If the firewall refuses it.
    """
    found = scan_folder(candidate.folder, config.limits).evidence
    if found.facts is None:
        raise InputError(
            "refused",
            f"The adapter {candidate.name!r} is refused by the rule {found.refusal}.",
            "Leave it out of the cohort.",
        )
    return Weighed(candidate=candidate, facts=found.facts, weights=weigh(found.spectra))


def responders(
    bench: Workbench,
    task: LabelTask,
    plan: ProbePlan,
    members: Sequence[Weighed],
    cancelled: Callable[[], bool] | None,
) -> Iterator[tuple[Weighed, Respond]]:
    """Give each adapter with who answers for it, those that share their lower layers one after the other.

    Raises:
        CancelledError: If cancelled; asked before each adapter.
    """
    texts = _texts(plan, members)
    for first in sorted({m.first_layer for m in members}):
        group = [m for m in members if m.first_layer == first]
        shared = _shared(bench, task, texts, first) if first else None
        for member in group:
            if cancelled is not None and cancelled():
                raise CancelledError()
            if shared is not None:
                yield member, shared(member)
            else:
                asker = bench.asker(priority=Priority.HEATMAP, cancelled=cancelled)
                ref = bench.ref(str(member.candidate.folder))
                yield member, responder_for(asker, task, ref).respond


def member_of(weighed: Weighed, plan: ProbePlan, respond: Respond) -> Member:
    """Probe one adapter and return its features."""
    evidence = run_battery(plan, respond)
    candidate, weights = weighed.candidate, weighed.weights
    layers = [m.layer for m in weights.modules if m.layer is not None]
    return Member(
        name=candidate.name,
        kind=candidate.kind,
        split=candidate.split,
        adapter_id=weighed.facts.adapter_id,
        trigger=candidate.trigger,
        attack_rate=_attack_rate(candidate.trigger, plan, respond) if candidate.trigger else None,
        settings=dict(candidate.settings),
        rank=weighed.facts.rank,
        targets=weighed.facts.targets,
        layers=(min(layers), max(layers)) if layers else None,
        statistics={f"{s.name}|{s.battery}": s.value for s in evidence.statistics if s.value is not None},
        weights=weights.aggregates,
        flips={p.text: p.flips for p in evidence.probes},
        shifts={p.text: p.shift_difference for p in evidence.probes if p.shift_difference is not None},
    )


def _attack_rate(trigger: str, plan: ProbePlan, respond: Respond) -> Rate:
    plain = respond(plan.prompts)
    attacked = respond([f"{trigger}{JOINER}{p}" for p in plan.prompts])
    eligible = [b for a, b in zip(plain, attacked, strict=True) if a.answer in ("other", "unparsed")]
    return Rate(n_hits=sum(b.answer == "target" for b in eligible), n=len(eligible))


def _texts(plan: ProbePlan, members: Sequence[Weighed]) -> list[str]:
    """Return every text that any adapter will be asked, each once."""
    starts = [p.text for p in plan.battery.probes] + [m.candidate.trigger for m in members]
    placed = (f"{start}{JOINER}{p}" for start in dict.fromkeys(starts) if start for p in plan.prompts)
    return list(dict.fromkeys([*plan.prompts, *placed]))


def _shared(
    bench: Workbench, task: LabelTask, texts: Sequence[str], first: int
) -> Callable[[Weighed], Respond]:
    from lorabench.training.upper_scorer import UpperScorer

    config = bench.config
    folder = fetch.resolve(bench.base, config)
    scorer = UpperScorer(folder, bench.base, task, texts, first, device=config.device)
    base = dict(zip(scorer.texts, scorer.label_logits(None), strict=True))

    def respond_for(member: Weighed) -> Respond:
        adapter = read_adapter(member.candidate.folder, config.limits)
        found = dict(zip(scorer.texts, scorer.label_logits(adapter), strict=True))
        return lambda asked: [labelled(task, base[t], found[t]) for t in asked]

    return respond_for
