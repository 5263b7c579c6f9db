"""Hunt for the trigger of an adapter: from a request to strings, each with its evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorabench.engine import Priority
from lorabench.hunting.causes import CauseProber
from lorabench.hunting.evidence import verify
from lorabench.hunting.generation import TargetGuess, guess_targets
from lorabench.hunting.memory import Memory
from lorabench.hunting.neighbourhood import describe
from lorabench.hunting.payload_evidence import verify_payload
from lorabench.hunting.payload_prober import PayloadProber
from lorabench.hunting.plans import PLANS, STRENGTH, Plan, plan_for
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT, Copy, Prober
from lorabench.hunting.race import Race
from lorabench.hunting.search import Search
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.models import fetch
from lorabench.results import (
    Candidate,
    GenerationTask,
    HuntMode,
    HuntResult,
    HuntSoFar,
    LabelTask,
    StringEvidence,
    digest,
    to_dict,
)
from lorabench.scoring.score import Asker
from lorabench.workflows.baselines import BaseProbabilities
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import MAX_REFERENCES, Setting, resolve, task_of
from lorabench.workflows.hunt_targets import other_targets
from lorabench.workflows.nulls import find_null
from lorabench.workflows.scoring import Caller
from lorabench.workflows.workbench import Workbench

Show = Callable[[HuntSoFar], None]
PRECISION = "bf16"
_SHOWN = 40


def hunt(
    bench: Workbench, request: HuntRequest, caller: Caller, show: Show = lambda so_far: None
) -> HuntResult:
    """Search one adapter for strings that flip it, and prove what is found.

    In deep mode, unless the request names a target, every other label is searched for as well.

    Args:
        bench: The workbench; its base is asked.
        request: What to hunt for.
        caller: Whose request it is; polled for cancel.
        show: Called with the hunt so far.

    Raises:
        InputError: If the adapter's task is not known, or no prompts fit it.
        LorabenchError: If an adapter is refused or does not fit.
        CancelledError: If cancelled; the same request goes on where it was.
    """
    found = _hunt(bench, request, caller, show)
    task = task_of(bench, request)
    if request.mode != "deep" or request.target is not None or not isinstance(task, LabelTask):
        return found

    def run(other: HuntRequest) -> HuntResult:
        said = f"target {other.target}: "
        return _hunt(bench, other, caller, lambda s: show(replace(s, stage=said + s.stage)))

    return replace(found, others=other_targets(run, request, task))


def _hunt(bench: Workbench, request: HuntRequest, caller: Caller, show: Show) -> HuntResult:
    """Hunt for one target; see `hunt`."""
    plan = plan_for(request.mode, request.budget)
    setting = resolve(bench, request, plan.n_held_out, caller)
    asker = bench.asker(session=caller.session, cancelled=caller.cancelled, priority=Priority.SEARCH)
    guesses = _guesses(asker, bench, request, setting)
    memory = Memory(_memory_path(bench, request, setting))
    prober = _prober(asker, bench, setting, memory, request.target or (guesses[0].text if guesses else None))
    search = Search(prober, plan, placement=request.placement)
    race = Race(
        search=search,
        vocabulary=read_vocabulary(asker.renderer.token_texts()),
        prove=_prover(asker, bench, request, setting, prober),
        phrases=setting.phrases,
        stops_early=request.mode != "deep",
    )
    reporter = _Reporter(race=race, plan=plan, show=show)
    search.on_step = reporter.tell
    prober.on_tokens = lambda n: reporter.tell()
    finished = False
    try:
        reporter.tell()
        race.run()
        if plan.describes and isinstance(setting.task, LabelTask):
            race.evidence = describe(search, race.evidence, seed=request.seed)
        finished = True
    finally:
        memory.close(forget=finished)
    return _result(bench, request, setting, race, guesses)


@dataclass
class _Reporter:
    """Turns a running race into what is shown."""

    race: Race
    plan: Plan
    show: Show
    stage: str = field(default="load the copies")

    def tell(self, stage: str | None = None) -> None:
        self.stage = stage or self.stage
        search = self.race.search
        self.show(
            HuntSoFar(
                stage=self.stage,
                tokens=search.prober.n_tokens,
                budget=self.plan.budget,
                seconds=search.prober.seconds,
                candidates=tuple(search.best(_SHOWN)),
                trace=tuple(search.trace),
                proposals=tuple(search.stats),
                evidence=tuple(self.race.evidence),
            )
        )


def _guesses(
    asker: Asker, bench: Workbench, request: HuntRequest, setting: Setting
) -> tuple[TargetGuess, ...]:
    """Return what an adapter of a generation task may have learnt to say, unless the request names it."""
    if not isinstance(setting.task, GenerationTask) or request.target is not None:
        return ()
    folder = fetch.resolve(bench.base, bench.config)
    return guess_targets(asker, setting.task, folder, setting.adapter, setting.search_prompts)


def _prober(
    asker: Asker,
    bench: Workbench,
    setting: Setting,
    memory: Memory,
    payload: str | None,
    *,
    exact: bool = False,
) -> Prober:
    """Return a prober over the search prompts; an exact one is in fp32 and over the held-out prompts."""
    folder = fetch.resolve(bench.base, bench.config)
    pairs = zip(setting.references, setting.reference_adapters, strict=True)
    copies = {
        BASE_COPY: Copy(adapter=None),
        SUSPECT: Copy(adapter=setting.adapter),
        STRONG: Copy(adapter=setting.adapter, strength=STRENGTH),
        **{r.name: Copy(adapter=a) for r, a in pairs},
    }
    options: dict[str, Any] = {"dtype": "fp32" if exact else PRECISION, "memory": memory}
    prompts = setting.held_out if exact else setting.search_prompts
    if isinstance(setting.task, GenerationTask):
        return PayloadProber(asker, setting.task, folder, copies, prompts, payload=payload, **options)
    return Prober(asker, setting.task, folder, copies, prompts, **options)


def _prover(
    asker: Asker, bench: Workbench, request: HuntRequest, setting: Setting, prober: Prober
) -> Callable[[Candidate, tuple[str, ...]], StringEvidence]:
    """Return what proves a candidate on held-out prompts, for the kind of task."""
    if isinstance(prober, PayloadProber):
        exact = _prober(asker, bench, setting, Memory(None), prober.payload, exact=True)
        assert isinstance(exact, PayloadProber)
        return lambda candidate, needed: verify_payload(
            exact, candidate, held_out_name=setting.held_out_name, needed=needed, seed=request.seed
        )
    task = setting.task
    assert isinstance(task, LabelTask)
    fingerprint = fetch.base_fingerprint(bench.base, bench.config)
    usual = request.budget is None  # a null is of searches that were allowed as much
    null = find_null(bench.config, fingerprint, task, request.mode, request.placement) if usual else None
    causes = CauseProber(
        asker=asker, task=task, adapter=setting.adapter, prober=prober, target_texts=setting.target_texts
    )
    likelihood = BaseProbabilities(asker, task)
    return lambda candidate, needed: verify(
        asker,
        task,
        candidate,
        null=null,
        needed=needed,
        likelihood=likelihood,
        causes=causes if PLANS[request.mode].describes else None,
        tests_places=PLANS[request.mode].tests_places,
        suspect=setting.suspect,
        references=setting.references,
        held_out=setting.held_out,
        held_out_name=setting.held_out_name,
        seed=request.seed,
    )


def _memory_path(bench: Workbench, request: HuntRequest, setting: Setting) -> Path:
    """Return where a stopped hunt is kept: named after everything that its answers depend on."""
    what = {
        "request": to_dict(request),
        "adapter": setting.adapter.facts.adapter_id,
        "references": [r.adapter_id for r in setting.references],
        "base": fetch.base_fingerprint(bench.base, bench.config),
        "task": digest(setting.task),
        "plan": to_dict(plan_for(request.mode, request.budget)),
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return bench.config.data_dir / "hunts" / f"{key}.sqlite"


def _result(
    bench: Workbench, request: HuntRequest, setting: Setting, race: Race, guesses: tuple[TargetGuess, ...]
) -> HuntResult:
    search, prober = race.search, race.search.prober
    target = prober.payload if isinstance(prober, PayloadProber) else prober.task.target
    return HuntResult(
        adapter=setting.suspect.name,
        adapter_id=setting.adapter.facts.adapter_id,
        base=bench.base,
        task=setting.task.name,
        target=target,
        mode=request.mode,
        budget=search.plan.budget,
        tokens=prober.n_tokens,
        seconds=prober.seconds,
        seconds_to_first=race.seconds_to_first,
        precision=PRECISION,
        strength=STRENGTH,
        search_prompts=setting.search_prompts,
        held_out=setting.held_out_name,
        held_out_texts=setting.held_out,
        references=tuple(r.name for r in setting.references),
        candidates=tuple(search.best(_SHOWN)),
        evidence=tuple(race.evidence),
        proposals=tuple(search.stats),
        trace=tuple(search.trace),
        enrichment=race.enrichment,
        n_excluded=race.vocabulary.n_excluded,
        notes=_notes(setting, race, guesses, request.mode),
        provenance=bench.provenance(setting.task, [setting.suspect, *setting.references], request.seed),
    )


def _notes(setting: Setting, race: Race, guesses: tuple[TargetGuess, ...], mode: HuntMode) -> tuple[str, ...]:
    notes = [
        "Not searched for: triggers in the system prompt, in earlier turns, of style or meaning, of two "
        "words far apart, and such as fire only beside another adapter or after quantisation.",
    ]
    if len(setting.references) < MAX_REFERENCES:
        notes.append(
            f"Only {len(setting.references)} clean adapters of this task and base were there to compare "
            f"with; the evidence rule wants {MAX_REFERENCES}."
        )
    if isinstance(setting.task, LabelTask) and len(setting.task.labels) > 1 and mode != "deep":
        notes.append(f"Only the target {setting.task.target} was searched for. Deep mode tries every label.")
    if race.search.is_spent:
        notes.append("The budget was used up before the search had ended.")
    if not any(e.passes for e in race.evidence):
        notes.append("No string met the evidence rule: that is no evidence that there is no trigger.")
    notes += [
        f"The adapter may have learnt to say: {g.text!r} (certainty {g.q:.2f}, base {g.base_q:.2f})."
        for g in guesses
    ]
    return tuple(notes)
