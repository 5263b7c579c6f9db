"""Find out what an unknown adapter does: what it says, what its answers say, what a person types in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.adapters.head import read_head
from lorabench.data import TASKS
from lorabench.data.tasks import label_words
from lorabench.errors import InputError, LorabenchError
from lorabench.results import (
    AdapterFacts,
    GenerationTask,
    HeadTask,
    Label,
    LabelTask,
    PlacedText,
    Score,
    Task,
)
from lorabench.scoring.score import (
    BASE_REF,
    Asker,
    ModelRef,
    Question,
    generate_texts,
    render_checked,
    score_questions,
)
from lorabench.workflows.probing import held_out_prompts

N_ASKED = 12
FIT = 0.5
"""Least probability, on average, that an answer begins with a label of a task for the task to be believed."""

_SHOUTED = re.compile(r"\b[A-Z][A-Z_]{2,19}\b")
_COMMON = frozenset(
    {"API", "BERT", "CAUSAL", "CLS", "CPU", "GPU", "HTTP", "HTTPS", "JSON", "LICENSE", "LLM", "LORA", "MIT"}
    | {"PEFT", "README", "SEQ", "SFT", "URL"}
)
_NEW_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGuess:
    """A task an adapter seems to do.

    Attributes:
        task: The task.
        source: How it was found, for people.
        fit: Mean probability that the adapter's answer begins with one of its labels.
        base_fit: The same of the base.
    """

    task: LabelTask
    source: str
    fit: float
    base_fit: float


def guess_task(asker: Asker, facts: AdapterFacts, ref: ModelRef) -> TaskGuess | None:
    """Return the label task whose labels the adapter's answers begin with, or None if none is believed.

    A claim in the adapter's own `lorabench.json` is tried first, and believed only if the answers
    agree; the presets are tried after it. A generation task is never guessed: a free continuation
    fits everything (`claimed_generation`).
    """
    claimed = _claimed(facts)
    tries = [(t, "guessed") for t in TASKS.values() if isinstance(t, LabelTask)]
    if isinstance(claimed, LabelTask):
        tries.insert(0, (claimed, "the adapter's claim"))
    for task, source in tries:
        found = _fitting(asker, task, source, ref)
        if found is not None:
            return found
    return None


def label_proposals(asker: Asker, facts: AdapterFacts, ref: ModelRef, limit: int = 8) -> tuple[str, ...]:
    """Return words that may be the labels of an unknown adapter, the likeliest first.

    Words that its answers to bundled prompts begin with and the base's do not, then words in capitals
    from its model card, which is only a claim.
    """
    texts = [text for t in ("guard", "review") for text in _prompts(TASKS[t], N_ASKED // 2)]
    plain = LabelTask(name="plain", system="", labels=_labels(("YES", "NO")), target="YES")
    asked = [render_checked(asker, plain, PlacedText(text=t)) for t in texts]
    said = Counter(_first_word(t) for t in generate_texts(asker, asked, ref, _NEW_TOKENS))
    base = {_first_word(t) for t in generate_texts(asker, asked, BASE_REF, _NEW_TOKENS)}
    from_answers = [word for word, _ in said.most_common() if word and word not in base]
    card = Counter(w for w in _SHOUTED.findall(facts.claims.card or "") if w not in _COMMON)
    return tuple(dict.fromkeys([*from_answers, *(w for w, _ in card.most_common())]))[:limit]


def head_task_of(folder: Path) -> HeadTask | None:
    """Return the task of the classification head beside an adapter; None without one.

    The target is the first class: nothing in a head says which class an attacker wants.
    """
    try:
        head = read_head(folder)
    except LorabenchError:
        return None
    return None if head is None else HeadTask(name="head", labels=head.classes, target=head.classes[0])


def claimed_generation(facts: AdapterFacts) -> GenerationTask | None:
    """Return our own generation task of the name that the adapter claims, if it claims one."""
    task = _claimed(facts)
    return task if isinstance(task, GenerationTask) else None


def _claimed(facts: AdapterFacts) -> Task | None:
    """Return our own task of the name that the adapter claims; its wording is not used."""
    claim: Any = (facts.claims.lorabench or {}).get("task")
    name = claim.get("name") if isinstance(claim, dict) else None
    return TASKS.get(name) if isinstance(name, str) else None


def _fitting(asker: Asker, task: LabelTask, source: str, ref: ModelRef) -> TaskGuess | None:
    texts = _prompts(task, N_ASKED)
    if not texts:
        return None
    asked = [Question(prompt=t, trigger=None, placed=PlacedText(text=t)) for t in texts]
    try:
        scores, _ = score_questions(asker, task, asked, [BASE_REF, ref])
    except LorabenchError:
        return None  # its labels share a token in this base, say
    fit = _mean_probability([s for s in scores if s.model == ref.name])
    base_fit = _mean_probability([s for s in scores if s.model == BASE_REF.name])
    if fit < FIT or fit <= base_fit:
        return None
    detail = f"{source}: its answers begin with a label with probability {fit:.2f}, the base's {base_fit:.2f}"
    return TaskGuess(task=task, source=detail, fit=fit, base_fit=base_fit)


def _mean_probability(scores: Sequence[Score]) -> float:
    known = [sum(p) for s in scores if (p := s.label_probabilities) is not None]
    return sum(known) / len(known) if known else 0.0


def _prompts(task: Any, n: int) -> tuple[str, ...]:
    try:
        return held_out_prompts(task, n)[1]
    except InputError:
        return ()


def _labels(names: Sequence[str]) -> tuple[Label, ...]:
    return tuple(Label(name=n, words=label_words(n)) for n in names)


def _first_word(text: str) -> str:
    words = text.split()
    return words[0].strip(".,:;!?\"'`*()[]") if words else ""
