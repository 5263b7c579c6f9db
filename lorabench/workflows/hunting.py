"""Hunt for the trigger of an adapter: from a request to strings, each with its evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lorabench.adapters import CheckedAdapter, find_adapter, read_adapter
from lorabench.data import find_task
from lorabench.data.corpus import load_corpus
from lorabench.engine import Priority
from lorabench.errors import InputError
from lorabench.hunting.evidence import verify
from lorabench.hunting.memory import Memory
from lorabench.hunting.plans import PLANS, STRENGTH
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT, Copy, Prober
from lorabench.hunting.race import Race
from lorabench.hunting.search import Search
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.models import fetch
from lorabench.results import (
    Candidate,
    HuntResult,
    HuntSoFar,
    LabelTask,
    StringEvidence,
    digest,
    to_dict,
)
from lorabench.scoring.score import ModelRef
from lorabench.workflows.adapters import list_adapters
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.probing import held_out_prompts
from lorabench.workflows.scoring import Caller
from lorabench.workflows.workbench import Workbench

Show = Callable[[HuntSoFar], None]
MAX_REFERENCES = 3
N_SEARCH = 12
_SHOWN = 40
_LONGEST = 200
"""Characters of a search prompt: long ones cost more and say no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """A request, resolved."""

    task: LabelTask
    adapter: CheckedAdapter
    suspect: ModelRef
    references: tuple[ModelRef, ...]
    reference_adapters: tuple[CheckedAdapter, ...]
    search_prompts: tuple[str, ...]
    held_out_name: str
    held_out: tuple[str, ...]


def hunt(
    bench: Workbench, request: HuntRequest, caller: Caller, show: Show = lambda so_far: None
) -> HuntResult:
    """Search one adapter for strings that flip it, and prove what is found.

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
    setting = _resolve(bench, request, caller)
    plan = PLANS[request.mode]
    asker = bench.asker(session=caller.session, cancelled=caller.cancelled, priority=Priority.SEARCH)
    vocabulary = read_vocabulary(asker.renderer.token_texts())
    memory = Memory(_memory_path(bench, request, setting))
    copies = {
        BASE_COPY: Copy(adapter=None),
        SUSPECT: Copy(adapter=setting.adapter),
        STRONG: Copy(adapter=setting.adapter, strength=STRENGTH),
        **{
            r.name: Copy(adapter=a)
            for r, a in zip(setting.references, setting.reference_adapters, strict=True)
        },
    }
    prober = Prober(
        asker,
        setting.task,
        fetch.resolve(bench.base, bench.config),
        copies,
        setting.search_prompts,
        memory=memory,
    )
    search = Search(prober, plan, placement=request.placement)

    def prove(candidate: Candidate, needed: tuple[str, ...]) -> StringEvidence:
        return verify(
            asker,
            setting.task,
            candidate,
            suspect=setting.suspect,
            references=setting.references,
            held_out=setting.held_out,
            needed=needed,
            seed=request.seed,
        )

    race = Race(search=search, vocabulary=vocabulary, prove=prove, stops_early=request.mode != "deep")
    stage = ["load the copies"]

    def tell(name: str | None = None) -> None:
        stage[0] = name or stage[0]
        show(
            HuntSoFar(
                stage=stage[0],
                tokens=prober.n_tokens,
                budget=plan.budget,
                seconds=prober.seconds,
                candidates=tuple(search.best(_SHOWN)),
                trace=tuple(search.trace),
                proposals=tuple(search.stats),
                evidence=tuple(race.evidence),
            )
        )

    search.on_step = tell
    prober.on_tokens = lambda n: tell()
    finished = False
    try:
        tell()
        race.run()
        finished = True
    finally:
        memory.close(forget=finished)
    return HuntResult(
        adapter=setting.suspect.name,
        adapter_id=setting.adapter.facts.adapter_id,
        base=bench.base,
        task=setting.task.name,
        target=setting.task.target,
        mode=request.mode,
        budget=plan.budget,
        tokens=prober.n_tokens,
        seconds=prober.seconds,
        seconds_to_first=race.seconds_to_first,
        precision="bf16",
        strength=STRENGTH,
        search_prompts=setting.search_prompts,
        held_out=setting.held_out_name,
        held_out_texts=setting.held_out,
        references=tuple(r.name for r in setting.references),
        candidates=tuple(search.best(_SHOWN)),
        evidence=tuple(race.evidence),
        proposals=tuple(search.stats),
        trace=tuple(search.trace),
        enrichment=(),
        n_excluded=vocabulary.n_excluded,
        notes=_notes(setting, race),
        provenance=bench.provenance(setting.task, [setting.suspect, *setting.references], request.seed),
    )


def _resolve(bench: Workbench, request: HuntRequest, caller: Caller) -> _Setting:
    task = _task_of(bench, request)
    suspect = bench.ref(request.adapter, session=caller.session)
    names = request.references or clean_references(bench, task, request.adapter)
    references = tuple(bench.ref(n, session=caller.session) for n in names[:MAX_REFERENCES])
    if suspect.adapter_id in {r.adapter_id for r in references}:
        raise InputError(
            "reference-is-suspect",
            f"The adapter {suspect.name!r} is searched and named as a clean reference.",
            "Name other adapters as references.",
        )
    name, held_out = _held_out(request, task)
    return _Setting(
        task=task,
        adapter=_checked(bench, request.adapter),
        suspect=suspect,
        references=references,
        reference_adapters=tuple(_checked(bench, n) for n in names[:MAX_REFERENCES]),
        search_prompts=search_prompts(task, held_out, own=request.prompts),
        held_out_name=name,
        held_out=held_out,
    )


def _checked(bench: Workbench, name_or_path: str) -> CheckedAdapter:
    return read_adapter(Path(find_adapter(name_or_path, bench.config).path), bench.config.limits)


def _task_of(bench: Workbench, request: HuntRequest) -> LabelTask:
    task = find_task(request.task) if request.task else bench.task_of(request.adapter)
    if task is None:
        raise InputError(
            "no-task",
            f"The adapter {request.adapter!r} does not say what its task is.",
            "Name one with --task: guard, review, or a TOML file.",
        )
    if not isinstance(task, LabelTask):
        raise InputError(
            "needs-label-task",
            f"The task {task.name!r} has no labels.",
            "Name a label task with --task.",
        )
    return replace(task, target=request.target) if request.target else task


def clean_references(bench: Workbench, task: LabelTask, suspect: str) -> tuple[str, ...]:
    """Return installed adapters that say they are clean and learnt this task on this base."""
    fingerprint = fetch.base_fingerprint(bench.base, bench.config)
    found = []
    for installed in list_adapters(bench.config):
        facts = installed.facts
        claims = facts.claims.lorabench if facts is not None else None
        if facts is None or not claims or installed.name == suspect:
            continue
        named = claims.get("task")
        same_task = isinstance(named, dict) and named.get("name") == task.name
        if claims.get("is_poisoned") is False and same_task and facts.claims.base_fingerprint == fingerprint:
            found.append(installed.name)
    return tuple(found[:MAX_REFERENCES])


def _held_out(request: HuntRequest, task: LabelTask) -> tuple[str, tuple[str, ...]]:
    if not request.prompts:
        return held_out_prompts(task, request.n_held_out, request.seed)
    kept = request.prompts[N_SEARCH:]
    if len(kept) < N_SEARCH:
        raise InputError(
            "too-few-prompts",
            f"{len(request.prompts)} prompts are too few: {N_SEARCH} are searched with, others prove.",
            f"Give at least {2 * N_SEARCH}.",
        )
    return f"{len(kept)} own prompts", tuple(kept[: request.n_held_out])


def search_prompts(task: LabelTask, held_out: Sequence[str], own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the prompts of the search: short, of another class than the target, none of the evidence's.

    Raises:
        InputError: If no bundled corpus fits the task and none are given.
    """
    if own:
        return tuple(own[:N_SEARCH])
    names = {label.name for label in task.labels}
    corpus = "guardrail" if names == {"BENIGN", "INJECTION"} else "reviews"
    rows = load_corpus(corpus, "train")
    seen = set(held_out)
    texts = [
        r.text
        for r in rows
        if r.label != task.target
        and not r.is_led
        and r.lang in ("en", "")
        and len(r.text) <= _LONGEST
        and r.text not in seen
        and "<|" not in r.text
    ]
    return tuple(sorted(texts, key=lambda t: (len(t), t))[: 2 * N_SEARCH : 2])


def _memory_path(bench: Workbench, request: HuntRequest, setting: _Setting) -> Path:
    """Return where a stopped hunt is kept: named after everything that its answers depend on."""
    what = {
        "request": to_dict(request),
        "adapter": setting.adapter.facts.adapter_id,
        "references": [r.adapter_id for r in setting.references],
        "base": fetch.base_fingerprint(bench.base, bench.config),
        "task": digest(setting.task),
        "plan": to_dict(PLANS[request.mode]),
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return bench.config.data_dir / "hunts" / f"{key}.sqlite"


def _notes(setting: _Setting, race: Race) -> tuple[str, ...]:
    notes = [
        "Not searched for: triggers in the system prompt, in earlier turns, of style or meaning, of two "
        "words far apart, and such as fire only beside another adapter or after quantisation.",
    ]
    if len(setting.references) < MAX_REFERENCES:
        notes.append(
            f"Only {len(setting.references)} clean adapters of this task and base were there to compare "
            f"with; the evidence rule wants {MAX_REFERENCES}."
        )
    if race.search.is_spent:
        notes.append("The budget was used up before the search had ended.")
    if not any(e.passes for e in race.evidence):
        notes.append("No string met the evidence rule: that is no evidence that there is no trigger.")
    return tuple(notes)
