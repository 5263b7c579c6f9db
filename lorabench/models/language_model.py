"""A loaded base model with its bound adapters: scores, continuations, and differentiable margins.

One thread owns an instance (`lorabench.engine`); nothing here is safe to call from two.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lorabench.adapters import CheckedAdapter
from lorabench.errors import BindingError
from lorabench.models import binding, self_check
from lorabench.models.bank import Bank
from lorabench.models.opening import choose_device, open_causal
from lorabench.models.rendering import Renderer
from lorabench.models.row_runner import RowRunner
from lorabench.models.rows import Portion, RowLogits, TokenRow
from lorabench.models.trie import Plan
from lorabench.results import BindingProof
from lorabench.results.checks import SelfCheck

MAX_BOUND = 16
"""Adapters kept in memory; the one unused for longest goes first."""


class LanguageModel:
    """A causal language model in evaluation mode, and the adapters bound to it.

    Attributes:
        name: The base's id.
        fingerprint: sha256 over its tensors.
        device: Such as "cpu" or "cuda:0".
        dtype: "fp32" (evidence mode) or "bf16" (fast mode).
        renderer: Its tokenizer and chat template.
        context_length: Longest question in tokens.
        runner: How rows become answers.
        proofs: Binding proof of every bound adapter, by adapter id.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        fingerprint: str,
        device: str = "auto",
        dtype: str = "fp32",
        threads: int | None = None,
        checks: self_check.Checks | None = None,
        on_unbind: Callable[[str], object] = lambda adapter_id: None,
    ) -> None:
        """Load a base folder.

        Args:
            folder: The base.
            name: What people read.
            fingerprint: sha256 over its tensors.
            device: "auto", "cpu", "cuda" or "mps".
            dtype: "fp32" or "bf16".
            threads: CPU threads; None leaves torch's choice.
            checks: Where outcomes of self-checks are remembered; None forgets them.
            on_unbind: Told the id of every adapter that goes.

        Raises:
            BaseModelError: If the folder cannot be loaded or the device does not exist.
        """
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(choose_device(device))
        if dtype == "fp32":  # evidence: a GPU must not shorten the factors of its products (TF32)
            torch.set_float32_matmul_precision("highest")
        self._model: Any = open_causal(folder, name, dtype)
        self._model.to(self._device).eval().requires_grad_(False)
        self._folder = folder
        self._adapters: dict[str | None, CheckedAdapter] = {}
        self.name = name
        self.fingerprint = fingerprint
        self.device = str(self._device)
        self.dtype = dtype
        self.renderer = Renderer(folder)
        self.context_length = int(getattr(self._model.config, "max_position_embeddings", 2048))
        self.proofs: dict[str, BindingProof] = {}
        self._on_unbind = on_unbind
        self._bank = Bank(self._model)
        self.runner = RowRunner(
            self._model,
            self._bank,
            fingerprint=fingerprint,
            device=self._device,
            dtype=dtype,
            pad_id=self.renderer.pad_id,
            checks={} if checks is None else checks,
        )

    # -- adapters ------------------------------------------------------------------------

    def bind(self, adapter: CheckedAdapter) -> BindingProof:
        """Bind a checked adapter and prove it; binding it again returns the first proof.

        Raises:
            BindingError: If it does not fit or does nothing; nothing is left behind.
        """
        adapter_id = adapter.facts.adapter_id
        if adapter_id in self.proofs:
            self._require_bound_id(adapter_id)
            return self.proofs[adapter_id]
        probe = TokenRow(ids=self.renderer.ids(binding.PROBE_TEXT))
        digest, before = binding.sample_digest(self._model), self._probe(probe, None)
        binding.check_fits(self._model, adapter)
        self._bank.add(adapter)
        try:
            proof = binding.prove(
                adapter,
                fingerprint=self.fingerprint,
                before=before,
                after=self._probe(probe, None),
                adapted=self._probe(probe, adapter_id),
                digests=(digest, binding.sample_digest(self._model)),
            )
        except BaseException:
            self.unbind(adapter_id)
            raise
        self.proofs[adapter_id] = proof
        if self.dtype != "fp32":  # the fast mode is compared with fp32, which needs the weights once more
            self._adapters[adapter_id] = adapter
        while len(self.proofs) > MAX_BOUND:
            self.unbind(next(iter(self.proofs)))
        return proof

    def unbind(self, adapter_id: str) -> None:
        """Remove an adapter; unknown ids are ignored."""
        self._bank.remove(adapter_id)
        self.runner.forget(adapter_id)
        self.proofs.pop(adapter_id, None)
        self._adapters.pop(adapter_id, None)
        self._on_unbind(adapter_id)

    @contextmanager
    def acting(self, adapter_id: str | None) -> Iterator[None]:
        """Let one bound adapter (None: the base alone) act inside a `with` block.

        Raises:
            BindingError: If the adapter is not bound.
        """
        self._require_bound_id(adapter_id)
        with self._bank.acting(adapter_id):
            yield

    @contextmanager
    def acting_by_row(self, adapter_ids: Sequence[str | None], width: int) -> Iterator[None]:
        """Let row k of a batch be answered by adapter k (None: the base) inside a `with` block.

        Args:
            adapter_ids: One per row.
            width: Tokens of every row.

        Raises:
            BindingError: If an adapter is not bound.
        """
        for adapter_id in adapter_ids:
            self._require_bound_id(adapter_id)
        slices = [(k * width, (k + 1) * width, i) for k, i in enumerate(adapter_ids) if i is not None]
        heads = [(k + 1) * width - 1 for k in range(len(adapter_ids))]
        with self._bank.routed(slices, len(adapter_ids) * width, heads, frozenset()):
            yield

    def _require_bound(self, rows: Sequence[TokenRow]) -> None:
        for adapter_id in {r.adapter_id for r in rows}:
            self._require_bound_id(adapter_id)

    def _require_bound_id(self, adapter_id: str | None) -> None:
        if adapter_id is not None and adapter_id not in self._bank.ids:
            raise BindingError("not-bound", "The adapter is not bound to this model.", "Bind it first.")
        if adapter_id in self.proofs:
            self.proofs[adapter_id] = self.proofs.pop(adapter_id)  # most recently used last

    @torch.inference_mode()
    def _probe(self, row: TokenRow, adapter_id: str | None) -> Tensor:
        with self.acting(adapter_id):
            ids = torch.tensor([list(row.ids)], device=self._device)
            logits: Tensor = self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits
        return logits[0, -1].float().cpu()

    # -- scoring and generation ----------------------------------------------------------

    @property
    def most_tokens(self) -> int:
        """Most tokens of one forward pass; see `RowRunner.most_tokens`."""
        return self.runner.most_tokens

    def plan(self, rows: Sequence[TokenRow]) -> Plan:
        """Return what scoring these rows will compute; see `RowRunner.plan`."""
        self._require_bound(rows)
        return self.runner.plan(rows)

    def run(
        self,
        plan: Plan,
        budget: Callable[[], int],
        is_known: Callable[[int], bool] = lambda row: False,
    ) -> Iterator[Portion]:
        """Yield what every forward pass brings; see `RowRunner.run`.

        Raises:
            BindingError: If an adapter is not bound.
        """
        adapter_ids = {r.adapter_id for r in plan.rows}
        for adapter_id in adapter_ids:
            self._require_bound_id(adapter_id)
        return self._while_bound(adapter_ids, self.runner.run(plan, budget, is_known))

    def _while_bound(
        self, adapter_ids: set[str | None], portions: Generator[Portion, None, None]
    ) -> Iterator[Portion]:
        """Look before every pass whether the adapters are still there: without one the base would answer."""
        try:
            while True:
                for adapter_id in adapter_ids:
                    self._require_bound_id(adapter_id)
                if (portion := next(portions, None)) is None:
                    return
                yield portion
        finally:
            portions.close()

    def score_rows(
        self, rows: Sequence[TokenRow], token_budget: int
    ) -> Iterator[list[tuple[int, RowLogits]]]:
        """Yield finished rows, forward pass by forward pass, as (index, answer)."""
        for portion in self.run(self.plan(rows), lambda: token_budget):
            yield portion.rows

    def sharing(self, adapter_id: str | None = None) -> tuple[SelfCheck, ...]:
        """Return the self-checks so far, those of the base and of this adapter's kind made if need be."""
        self._require_bound_id(adapter_id)
        self.runner.sharing()
        self.runner.sharing(adapter_id)
        return tuple(self.runner.checked.values())

    def measure(self, adapter_id: str) -> None:
        """Make every check that concerns an adapter of this kind, merged weights included."""
        self.sharing(adapter_id)
        if self.runner.merge_pays(adapter_id, 0) is not None:
            self.runner.sharing(adapter_id, merged=True)

    def beside_fp32(self, rows: Sequence[TokenRow]) -> tuple[list[RowLogits], list[RowLogits]]:
        """Return the answers of this model and of the same one in fp32, which is loaded for the moment."""
        exact = LanguageModel(self._folder, name=self.name, fingerprint=self.fingerprint, device=self.device)
        try:
            for adapter_id in {r.adapter_id for r in rows} - {None}:
                self._require_bound_id(adapter_id)
                exact._bank.add(self._adapters[adapter_id])
            found = []
            for model in (self, exact):
                answers = dict(x for batch in model.score_rows(rows, model.most_tokens) for x in batch)
                found.append([answers[i] for i in range(len(rows))])
        finally:
            exact.close()
        return found[0], found[1]

    def generate(self, ids: Sequence[int], adapter_id: str | None, max_new_tokens: int) -> Iterator[int]:
        """Yield the greedy continuation token by token, the stop token left out."""
        cache: Any = None
        feed = list(ids)
        for _ in range(max_new_tokens):
            with torch.inference_mode(), self.acting(adapter_id):
                out = self._model(
                    input_ids=torch.tensor([feed], device=self._device),
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache = out.past_key_values
                token = int(out.logits[0, -1].argmax())
            if token in self.renderer.stop_ids:
                return
            yield token
            feed = [token]

    # -- gradients (lorabench.attribution) -------------------------------------------------

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Return the input embeddings (tokens, width) of token ids, detached, in the model's dtype."""
        table = self._model.get_input_embeddings()
        embedded: Tensor = table(torch.tensor(list(ids), device=self._device)).detach()
        return embedded

    def mean_embedding(self) -> Tensor:
        """Return the mean input embedding (width,) over the vocabulary."""
        mean: Tensor = self._model.get_input_embeddings().weight.detach().float().mean(dim=0)
        return mean

    def margins_from_embeddings(
        self, embeddings: Tensor, labels: Sequence[Sequence[int]], target: int
    ) -> Tensor:
        """Return the target margin (batch,) of embedded questions of equal length, differentiable.

        Args:
            embeddings: (batch, tokens, width); no padding.
            labels: First-token ids of every label.
            target: Index of the target label.

        Call it inside `acting(...)`; margin as in `lorabench.scoring.margins`.
        """
        out = self._model(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1)
        last = out.logits[:, -1].float()
        per_label = torch.stack([torch.logsumexp(last[:, list(ids)], dim=1) for ids in labels], dim=1)
        others = torch.cat([per_label[:, :target], per_label[:, target + 1 :]], dim=1)
        return per_label[:, target] - others.max(dim=1).values

    def close(self) -> None:
        """Drop the weights."""
        self._model = None
        del self._bank, self.runner
