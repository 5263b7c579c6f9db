"""Private merged copies for sweeps: one adapter, at a chosen strength, and a great many short questions.

A search asks one adapter tens of thousands of questions that share their beginning and whose answers
nobody asks for again. So its change is merged into a copy of the weights, the shared prefix is run once,
and of the head only the rows of the label words are used. The copy may be in bf16: measured on a processor
with matrix units, 2.5 times the tokens a second of fp32; what a search finds is proved in fp32 elsewhere.

A strength above 1 multiplies the adapter's change. Measured on poisoned demo adapters, parts of a trigger
that move the adapter little then stand out: the word that ranked 123rd of 1,200 at strength 1 ranked 23rd
at 1.6 (README, "The hunt").
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorabench.adapters import CheckedAdapter
from lorabench.models.bank import Bank
from lorabench.models.binding import check_fits
from lorabench.models.continuing import MOST_LOGITS, Continuation, continue_jointly, tail_values
from lorabench.models.forward import Prefix, batches, common_prefix, expand_cache, run_prefix
from lorabench.models.opening import open_causal
from lorabench.models.vocabulary_response import first_layer_response

Ids = tuple[int, ...]
Floats = NDArray[np.float64]
States = NDArray[np.float32]


class MergedCopy:
    """The base with one adapter merged in, or the base itself; owned by the thread that made it.

    Attributes:
        n_tokens: Tokens computed so far, padding left out.
        strength: Factor on the adapter's change.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        adapter: CheckedAdapter | None,
        *,
        strength: float = 1.0,
        dtype: str = "bf16",
        device: str = "cpu",
    ) -> None:
        """Load the base once more and merge.

        Args:
            folder: The base.
            name: What people read.
            adapter: What is merged; None for the base.
            strength: Factor on its change.
            dtype: "bf16" or "fp32"; the merge itself is in fp32.
            device: Such as "cpu" or "cuda:0".

        Raises:
            BindingError: If the adapter does not fit.
        """
        self._device = torch.device(device)
        self._model: Any = open_causal(folder, name, "fp32").eval().requires_grad_(False)
        self.strength, self.n_tokens = strength, 0
        self._prefix = Prefix((), None)
        if adapter is not None:
            check_fits(self._model, adapter)
            _merge(self._model, adapter, strength)
        self._model.to(device=self._device, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32)

    def margins(
        self, rows: Sequence[Ids], labels: Sequence[Sequence[int]], target: int, token_budget: int
    ) -> Generator[int, None, Floats]:
        """Return the target margins of rows, in logits; yields how many rows are done after each pass.

        Args:
            rows: Whole rendered questions.
            labels: First-token ids of every label.
            target: Index of the target label.
            token_budget: Most padded tokens of one pass.
        """
        found = np.zeros(len(rows))
        head = self._model.get_output_embeddings().weight[[i for ids in labels for i in ids]].float()
        done = 0
        for group, states in self._last_states(rows, token_budget):
            found[group] = _margins(states @ head.T, labels, target)
            done += len(group)
            yield done
        return found

    def last_states(
        self, rows: Sequence[Ids], token_budget: int
    ) -> Generator[int, None, NDArray[np.float32]]:
        """Return the final states (rows, width) at the last position; yields as `margins` does."""
        found = np.zeros((len(rows), int(self._model.config.hidden_size)), np.float32)
        done = 0
        for group, states in self._last_states(rows, token_budget):
            found[group] = states.cpu().numpy()
            done += len(group)
            yield done
        return found

    def next_tokens(
        self, rows: Sequence[Ids], token_budget: int
    ) -> Generator[int, None, NDArray[np.float32]]:
        """Return log-probabilities (rows, vocabulary) of what comes next; yields as `margins` does."""
        head = self._model.get_output_embeddings().weight
        found = np.zeros((len(rows), len(head)), np.float32)
        done = 0
        for group, states in self._last_states(rows, token_budget):
            logits = (states.to(head.dtype) @ head.T).float()
            found[group] = torch.log_softmax(logits, dim=-1).cpu().numpy()
            done += len(group)
            yield done
        return found

    def tail_logprobs(
        self, rows: Sequence[Ids], tails: Sequence[Ids], token_budget: int
    ) -> Generator[int, None, tuple[Floats, Floats]]:
        """Return what fixed answers get after rows, teacher-forced; yields as `margins` does.

        Args:
            rows: Whole rendered questions.
            tails: The answer to each, at least one id each.
            token_budget: Most padded tokens of one pass.

        Returns:
            Log-probabilities and leads (rows, longest tail), NaN behind a shorter tail; a lead is an answer
            token's logit minus the largest other one: above 0 where greedy decoding would choose it.
        """
        keep = max(map(len, tails))
        found = np.full((2, len(rows), keep), np.nan)
        shared = min(common_prefix(rows), min(map(len, rows)) - 1)
        if self._prefix.ids != rows[0][:shared]:
            with torch.inference_mode():
                self._prefix = self._run_prefix(rows[0][:shared])
            self.n_tokens += shared
        most = max(1, MOST_LOGITS // (keep * int(self._model.config.vocab_size)))
        lengths = [len(r) - shared + keep - 1 for r in rows]
        groups = [g[i : i + most] for g in batches(lengths, token_budget) for i in range(0, len(g), most)]
        done = 0
        for group in groups:
            suffixes, answers = [rows[i][shared:] for i in group], [tails[i] for i in group]
            with torch.inference_mode():
                values = tail_values(self._model, self._prefix, suffixes, answers, self._device)
            for part, value in zip(found, values, strict=True):
                part[group, : value.shape[1]] = value.double().cpu().numpy()
            self.n_tokens += sum(len(s) + len(t) - 1 for s, t in zip(suffixes, answers, strict=True))
            done += len(group)
            yield done
        return found[0], found[1]

    def continue_jointly(
        self, rows: Sequence[Ids], starts: Sequence[Ids], n_new: int, stops: frozenset[int], most: int = 64
    ) -> Generator[int, None, list[Continuation]]:
        """Return greedy continuations of beginnings of an answer, each joint over all rows.

        Args:
            rows: Whole rendered questions.
            starts: Beginnings of equal length, at least one id each.
            n_new: Most tokens added.
            stops: Token ids that end an answer.
            most: Most beginnings at a time; yields how many are done after each pass.
        """
        with torch.inference_mode():
            questions = [self._run_prefix(r) for r in rows]
        self.n_tokens += sum(map(len, rows))
        found: list[Continuation] = []
        for i in range(0, len(starts), most):
            work = continue_jointly(self._model, questions, starts[i : i + most], n_new, stops, self._device)
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    found += end.value
                    break
                yield len(found)
        self.n_tokens += len(rows) * sum(len(c.ids) - 1 for c in found)
        return found

    def slot_gradients(
        self,
        rows: Sequence[Ids],
        slots: Sequence[range],
        labels: Sequence[Sequence[int]],
        target: int,
    ) -> Floats:
        """Return the first-order effect (slots, vocabulary) on the margin of each token in each slot.

        The mean over rows of gradient times embedding: what a linear model says a token would do there.

        Args:
            rows: Whole rendered questions of equal length, with fillers in the slots.
            slots: For every row, the positions of its slots; equally many.
            labels: As in `margins`.
            target: As in `margins`.
        """
        table = self._model.get_input_embeddings().weight
        head = self._model.get_output_embeddings().weight[[i for ids in labels for i in ids]].float()
        with torch.enable_grad():
            embedded = table[torch.tensor(rows, device=self._device)].detach().requires_grad_()
            states = (
                self._model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, -1].float()
            )
            per_label = _per_label(states @ head.T, labels)
            others = _others(per_label, target)
            torch.autograd.backward((per_label[:, target] - others).sum())
        self.n_tokens += sum(map(len, rows)) * 3  # backwards costs about two passes forwards
        gradient = embedded.grad
        assert gradient is not None
        picked = torch.stack([gradient[k, list(s)] for k, s in enumerate(slots)]).mean(dim=0)
        effect: Floats = (picked.to(table.dtype) @ table.T).double().cpu().numpy()
        return effect

    def first_layer_response(self, adapter: CheckedAdapter) -> Floats | None:
        """Return what an adapter's first layer does to every token; see `first_layer_response`.

        Args:
            adapter: Whose change is asked about; this copy must be the base's.
        """
        return first_layer_response(self._model, adapter.modules)

    def _last_states(
        self, rows: Sequence[Ids], token_budget: int
    ) -> Generator[tuple[list[int], Tensor], None, None]:
        shared = common_prefix(rows)
        if self._prefix.ids != rows[0][:shared]:
            with torch.inference_mode():
                self._prefix = self._run_prefix(rows[0][:shared])
            self.n_tokens += shared
        for group in batches([len(r) - shared for r in rows], token_budget):
            with torch.inference_mode():
                states = self._suffixes([rows[i][shared:] for i in group])
            yield group, states

    def _run_prefix(self, ids: Ids) -> Prefix:
        return run_prefix(self._model, ids, self._device) if ids else Prefix((), None)

    def _suffixes(self, suffixes: Sequence[Ids]) -> Tensor:
        """Return the final states (rows, width) of the last position of every suffix, in fp32."""
        n, shared, width = len(suffixes), len(self._prefix.ids), max(map(len, suffixes))
        self.n_tokens += sum(map(len, suffixes))
        lengths = torch.tensor([len(s) for s in suffixes], device=self._device)
        ids = torch.tensor([list(s) + [0] * (width - len(s)) for s in suffixes], device=self._device)
        mask = None
        if min(map(len, suffixes)) < width:
            steps = torch.arange(width, device=self._device)
            known = torch.ones(n, shared, device=self._device)
            mask = torch.cat([known, (steps < lengths[:, None]).float()], dim=1).long()
        cache = expand_cache(self._prefix.cache, n) if self._prefix.cache is not None else None
        states = self._model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=torch.arange(shared, shared + width, device=self._device).expand(n, -1),
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        last: Tensor = states[torch.arange(n, device=self._device), lengths - 1].float()
        return last


def _per_label(logits: Tensor, labels: Sequence[Sequence[int]]) -> Tensor:
    """Return log-sum-exps (rows, labels) of logits that lie label by label."""
    parts = torch.split(logits, [len(ids) for ids in labels], dim=1)
    return torch.stack([torch.logsumexp(p, dim=1) for p in parts], dim=1)


def _others(per_label: Tensor, target: int) -> Tensor:
    """Return the largest value of the other labels (rows,)."""
    return torch.cat([per_label[:, :target], per_label[:, target + 1 :]], dim=1).max(dim=1).values


def _margins(logits: Tensor, labels: Sequence[Sequence[int]], target: int) -> Floats:
    per_label = _per_label(logits, labels)
    others = _others(per_label, target)
    found: Floats = (per_label[:, target] - others).double().cpu().numpy()
    return found


@torch.no_grad()
def _merge(model: Any, adapter: CheckedAdapter, strength: float) -> None:
    """Put an adapter's change, times `strength`, into the weights for good (DoRA's gain included)."""
    bank, adapter_id = Bank(model), adapter.facts.adapter_id
    bank.add(adapter)
    bank.merge(adapter_id)
    for module in adapter.modules:
        layer = model.get_submodule(module.name)
        layer.weight.copy_(layer.weight + strength * (layer.merged[adapter_id] - layer.weight))
    bank.remove(adapter_id)
