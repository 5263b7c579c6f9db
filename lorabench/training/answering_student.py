"""A student that answers in words: a label, or a free continuation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lorabench.data import Row
from lorabench.models.rendering import Renderer
from lorabench.models.rows import TokenRow
from lorabench.models.tree_forward import score_all
from lorabench.results import GenerationTask, LabelTask, PlacedText
from lorabench.scoring.labels import answer_of, label_ids
from lorabench.training.answering import Example, answer_loss
from lorabench.training.lower_cache import LowerCache
from lorabench.training.shape import Shape
from lorabench.training.student import Student, no_examples, open_base

_SCORE_TOKENS = 1024


class AnsweringStudent(Student):
    """A causal language model that learns to write a label or a response.

    Attributes:
        task: What is asked.
        renderer: Tokenizer and template.
        examples: The training rows, after `take`.
    """

    task: LabelTask | GenerationTask

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        task: LabelTask | GenerationTask,
        shape: Shape,
        seed: int,
        device: str = "auto",
        threads: int | None = None,
        learns_all: bool = False,
        caches_lower: bool = False,
    ) -> None:
        """Load the base and add an adapter.

        Args:
            folder: The base.
            name: What people call it.
            task: Label or generation task.
            shape: The adapter.
            seed: Of its first values.
            device: As in the settings.
            threads: For torch; None leaves it alone.
            learns_all: Whether the question is learnt as well (the first study), not only the answer.
            caches_lower: Whether the layers below the adapter are computed once per row and kept;
                exact, because nothing below the adapter changes (see `LowerCache`).
        """
        self.task = task
        self.renderer = Renderer(folder)
        super().__init__(
            open_base(folder, name, for_head=False), shape=shape, seed=seed, device=device, threads=threads
        )
        self.examples: list[Example] = []
        self._learns_all = learns_all
        self._lower = LowerCache(self.model, self.layers[0], self.device) if caches_lower else None

    @property
    def n_examples(self) -> int:
        """How many rows there are to learn from."""
        return len(self.examples)

    def take(self, rows: Sequence[Row], max_tokens: int) -> int:
        """Make training rows; see `Student`."""
        self.examples, too_long = [], 0
        for row in rows:
            ids = self.renderer.render(self.task, PlacedText(text=row.text)).ids
            answer = self._answer(row)
            if len(ids) + len(answer) > max_tokens:
                too_long += 1
                continue
            whole = ids + answer
            self.examples.append(Example(ids=whole, answer=whole[1:] if self._learns_all else answer))
        if not self.examples:
            raise no_examples(max_tokens)
        if self._lower is not None:
            self.examples = self._lower.take(self.examples, self.renderer.pad_id)
        return too_long

    def _answer(self, row: Row) -> tuple[int, ...]:
        """Return the ids of the answer and the end of the turn, as the model should write it."""
        text = row.label if isinstance(self.task, LabelTask) else row.response
        return self.renderer.ids(text) + self.renderer.stop_ids[-1:]

    def learn(self, chosen: Sequence[int], token_budget: int) -> float:
        """See `Student`; the loss is in nats per learnt token."""
        examples = [self.examples[i] for i in chosen]
        pad_id = self.renderer.pad_id
        if self._lower is not None:
            return self._lower.answer_loss(examples, token_budget=token_budget)
        return answer_loss(self.model, examples, token_budget=token_budget, pad_id=pad_id, device=self.device)

    def classify(self, texts: Sequence[str]) -> list[str]:
        """Return the label each text is answered with, or "tie", by the largest first-token margin."""
        assert isinstance(self.task, LabelTask)  # a generation has no labels
        labels = label_ids(self.task, self.renderer)
        rows = [
            TokenRow(ids=self.renderer.render(self.task, PlacedText(text=t)).ids, labels=labels)
            for t in texts
        ]
        found: dict[int, str] = {}
        with torch.inference_mode():
            for batch in score_all(self.model, rows, _SCORE_TOKENS, self.device):
                found.update((i, answer_of(self.task, r.label_logits)[1]) for i, r in batch)
        return [found[i] for i in range(len(rows))]

    def truncate(self, text: str, max_tokens: int) -> str:
        """See `Student`."""
        ids = self.renderer.ids(text)
        return text if len(ids) <= max_tokens else self.renderer.decode(ids[:max_tokens])

    def write(self, texts: Sequence[str], n_new: int, token_budget: int = 2048) -> list[tuple[str, int]]:
        """Return each text's greedy continuation and its length in tokens.

        Args:
            texts: Prompts.
            n_new: Most new tokens.
            token_budget: Most padded tokens of one batch, new ones included.
        """
        rows = [list(self.renderer.render(self.task, PlacedText(text=t)).ids) for t in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found: dict[int, tuple[str, int]] = {}
        while order:
            n = max(1, token_budget // (len(rows[order[-1]]) + n_new))
            group, order = order[:n], order[n:]
            for i, ids in zip(group, self._continue([rows[i] for i in group], n_new), strict=True):
                found[i] = (self.renderer.decode(ids), len(ids))
        return [found[i] for i in range(len(rows))]

    def _continue(self, rows: list[list[int]], n_new: int) -> list[list[int]]:
        """Return the new ids of every row, the end of turn left out; padded on the left."""
        width = max(map(len, rows))
        pad, stops = self.renderer.pad_id, set(self.renderer.stop_ids)
        ids = torch.tensor([[pad] * (width - len(r)) + r for r in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=self.device)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=n_new,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
                pad_token_id=pad,
                eos_token_id=sorted(stops),
            )
        new = [row[width:] for row in out.tolist()]
        return [row[: next((k for k, t in enumerate(row) if t in stops), len(row))] for row in new]
