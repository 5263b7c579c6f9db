"""A student with a classification head: the setting of arXiv 2506.11402."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorabench.adapters import CheckedAdapter
from lorabench.adapters.head import Head
from lorabench.data import Row
from lorabench.errors import BaseModelError, BindingError
from lorabench.models.bank import Bank
from lorabench.models.binding import check_fits
from lorabench.models.forward import batches
from lorabench.models.library import LOADING, transformers_class
from lorabench.models.opening import choose_device, open_backbone
from lorabench.results import HeadTask
from lorabench.training.shape import Shape
from lorabench.training.student import Student, no_examples, open_base

_SCORE_TOKENS = 4096


class HeadReader:
    """A model without a language head, its tokenizer, and a linear head on its states."""

    def __init__(
        self, model: Any, folder: Path, name: str, head: torch.nn.Linear, device: torch.device
    ) -> None:
        self.model, self.head, self._device = model, head, device
        with LOADING:
            auto = transformers_class("AutoTokenizer")
            self._tokenizer: Any = auto.from_pretrained(str(folder), local_files_only=True)
        if not self._tokenizer.is_fast:
            raise BaseModelError(
                "no-tokenizer", f"The base {name!r} has no tokenizer.json.", "Use a base that has one."
            )

    def most(self, max_tokens: int = 1 << 30) -> int:
        """Return a bound on tokens, special ones included, that the model can take."""
        return min(max_tokens, int(getattr(self.model.config, "max_position_embeddings", max_tokens)))

    def encode(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the token ids of texts, special tokens included."""
        found = self._tokenizer(list(texts), truncation=False, padding=False)["input_ids"]
        return [tuple(ids) for ids in found]

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the beginning of a text, cut where a token ends, so that what is left is its own."""
        encoded = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False
        )
        spans = encoded["offset_mapping"]
        return text if len(spans) <= max_tokens else text[: spans[max_tokens - 1][1]]

    def outputs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the head's outputs (texts, classes); longer texts than the model takes are cut."""
        most = self.most()
        encoded = [ids[: most - 1] + ids[-1:] if len(ids) > most else ids for ids in self.encode(texts)]
        out = np.empty((len(encoded), self.head.out_features), dtype=np.float32)
        with torch.inference_mode():
            for group in batches([len(ids) for ids in encoded], _SCORE_TOKENS):
                out[group] = self.forward([encoded[i] for i in group]).cpu().numpy()
        return out

    def forward(self, rows: Sequence[tuple[int, ...]]) -> Tensor:
        """Return the head's outputs (rows, classes), with their graph."""
        width = max(map(len, rows))
        pad = self._tokenizer.pad_token_id or 0
        lengths = torch.tensor([len(r) for r in rows], device=self._device)
        ids = torch.tensor([list(r) + [pad] * (width - len(r)) for r in rows], device=self._device)
        mask = torch.arange(width, device=self._device) < lengths[:, None]
        states = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        mean = (states * mask[:, :, None]).sum(dim=1) / lengths[:, None]
        last = states[torch.arange(len(rows), device=self._device), lengths - 1]
        out: Tensor = self.head(torch.cat([mean, last], dim=-1))
        return out


class HeadExaminee:
    """An adapter that was read from disk, with its head: asked with the adapter on and off.

    Attributes:
        classes: Class names of the head, in the order of its outputs.
    """

    def __init__(self, folder: Path, name: str, adapter: CheckedAdapter, head: Head, *, device: str) -> None:
        """Open the base and merge the adapter into a copy of what it changes.

        Raises:
            BindingError: If a module of the adapter is not in the base, or of another shape.
        """
        self.classes = head.classes
        self._device = torch.device(choose_device(device))
        model = open_backbone(folder, name, "fp32").to(self._device).eval().requires_grad_(False)
        if head.weight.shape[1] != 2 * int(model.config.hidden_size):
            raise BindingError(
                "wrong-head",
                f"The head does not fit the base {name!r}.",
                "Use the base that it was trained on.",
            )
        linear = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(head.weight.copy()))
            linear.bias.copy_(torch.from_numpy(head.bias.copy()))
        self._reader = HeadReader(model, folder, name, linear.to(self._device), self._device)
        self._bank = Bank(model)
        self._id = adapter.facts.adapter_id
        check_fits(model, adapter)
        self._bank.add(adapter)

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the head's outputs with the adapter on, and off; each (texts, classes)."""
        with self._bank.acting(self._id):
            on = self._reader.outputs(texts)
        return on, self._reader.outputs(texts)


class HeadStudent(Student):
    """An encoder, or a decoder without its language head, with a linear classification head.

    The head reads the mean over a text's positions beside its last position (arXiv 2506.11402,
    released code; there padding counts in the mean, here it does not, so that a text's answer does
    not depend on its neighbours). The study never trains the head: it stays as it was drawn.

    Attributes:
        task: The classes.
        head: Linear layer from twice the width to the classes.
    """

    task: HeadTask

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        task: HeadTask,
        shape: Shape,
        seed: int,
        trains_head: bool = True,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Load the base, add an adapter and a head, both drawn from the seed."""
        self.task = task
        super().__init__(
            open_base(folder, name, for_head=True), shape=shape, seed=seed, device=device, threads=threads
        )
        width = int(self.model.config.hidden_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.head = torch.nn.Linear(2 * width, len(task.labels)).to(self.device)
        self.head.requires_grad_(trains_head)
        if trains_head:
            self.parameters |= {f"head.{n}": p for n, p in self.head.named_parameters()}
        self._reader = HeadReader(self.model, folder, name, self.head, self.device)
        self._rows: list[tuple[tuple[int, ...], int]] = []

    @property
    def n_examples(self) -> int:
        """How many rows there are to learn from."""
        return len(self._rows)

    def take(self, rows: Sequence[Row], max_tokens: int) -> int:
        """Make training rows; see `Student`. Special tokens count."""
        most = self._reader.most(max_tokens)
        encoded = self._reader.encode([r.text for r in rows])
        kept = [
            (ids, self.task.labels.index(r.label))
            for ids, r in zip(encoded, rows, strict=True)
            if len(ids) <= most
        ]
        if not kept:
            raise no_examples(most)
        self._rows = kept
        return len(rows) - len(kept)

    def truncate(self, text: str, max_tokens: int) -> str:
        """See `Student`."""
        return self._reader.truncate(text, max_tokens)

    def learn(self, chosen: Sequence[int], token_budget: int) -> float:
        """See `Student`; the loss is in nats per row."""
        rows = [self._rows[i] for i in chosen]
        total = 0.0
        for group in batches([len(ids) for ids, _ in rows], token_budget):
            logits = self._reader.forward([rows[i][0] for i in group])
            wanted = torch.tensor([rows[i][1] for i in group], device=self.device)
            loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum") / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def classify(self, texts: Sequence[str]) -> list[str]:
        """See `Student`: the class with the largest logit; longer texts than the model takes are cut."""
        return [self.task.labels[int(i)] for i in self._reader.outputs(texts).argmax(axis=1)]

    def head_tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the head's weight (classes, 2 x width) and bias."""
        return {n: p.detach().float().cpu().numpy() for n, p in self.head.named_parameters()}
