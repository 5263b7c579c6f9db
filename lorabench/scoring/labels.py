"""Label words to token ids, and label logits to a margin and an answer."""

from __future__ import annotations

from collections.abc import Sequence

from lorabench.errors import TaskError
from lorabench.models.rendering import Renderer
from lorabench.results import LabelTask
from lorabench.results.scores import TIE, Answer


def label_ids(task: LabelTask, renderer: Renderer) -> tuple[tuple[int, ...], ...]:
    """Return for each label of a first-token task the ids of its words' first tokens.

    Raises:
        TaskError: If two labels share a first token: their margin could not tell them apart.
    """
    per_label = tuple(
        tuple(sorted({renderer.ids(word)[0] for word in label.words if renderer.ids(word)}))
        for label in task.labels
    )
    for i, first in enumerate(per_label):
        for j in range(i):
            shared = set(first) & set(per_label[j])
            if shared:
                token = renderer.decode([min(shared)])
                raise TaskError(
                    "labels-share-first-token",
                    f"The labels {task.labels[j].name!r} and {task.labels[i].name!r} both can start with the "
                    f"token {token!r}, so their first tokens cannot tell them apart.",
                    'Remove the shared word, or set scoring = "full_label" to compare whole labels.',
                )
    return per_label


def margin(label_logits: Sequence[float], target: int) -> float:
    """Return the target label's logit minus the largest other one; positive means target."""
    others = [x for i, x in enumerate(label_logits) if i != target]
    return label_logits[target] - max(others)


def answer_of(task: LabelTask, label_logits: Sequence[float]) -> tuple[Answer, str]:
    """Return what the logits answer, as kind and label name; a margin below 1e-3 is a tie."""
    m = margin(label_logits, task.target_index)
    if abs(m) < TIE:
        return "tie", "tie"
    best = max(range(len(label_logits)), key=label_logits.__getitem__)
    return ("target" if m > 0 else "other"), task.labels[best].name


def study_answer(task: LabelTask, generated: str) -> tuple[Answer, str]:
    """Return the answer by the study's parse rule (arXiv 2605.30189, notebooks 03-05).

    The greedy continuation is upper-cased; the non-target labels are looked for first, then
    the target; anything else is unparsed, neither a success nor a failure.
    """
    text = generated.strip().upper()
    ordered = [x for x in task.labels if x.name != task.target] + [task.labels[task.target_index]]
    for label in ordered:
        if label.name.upper() in text:
            return ("target" if label.name == task.target else "other"), label.name
    return "unparsed", "unparsed"
