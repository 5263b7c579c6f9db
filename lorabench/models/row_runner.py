"""Rows to answers by the fastest way that is exact here: trie or plain, stacked or merged."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lorabench.errors import BaseModelError
from lorabench.models import forward, self_check
from lorabench.models.bank import Bank
from lorabench.models.rows import Portion, RowLogits, TokenRow
from lorabench.models.tree_attention import register
from lorabench.models.tree_forward import KnownPrefixes, TrieRun
from lorabench.models.trie import Plan, plan_rows
from lorabench.results import from_dict, to_dict
from lorabench.results.checks import MergeCheck, SelfCheck

MERGE_FROM = 4_000
"""Tokens of one adapter from which it is worth asking whether merged weights would pay."""

CPU_TOKENS = 512
GPU_TOKENS = 16_384
GPU_SHARE = 0.3
"""Bounds of one forward pass: see `RowRunner.most_tokens`."""

MERGED_BYTES = 2 * 1024**3
"""Most memory for merged weights of all adapters together."""


class RowRunner:
    """Plans and runs forward passes over one loaded model and its bank; owned by one thread.

    Attributes:
        fingerprint: The base's fingerprint.
        device: Such as "cpu" or "cuda:0".
        dtype: "fp32" or "bf16".
        n_vocabulary: Rows of the embedding.
        checked: Self-checks so far, by kind.
    """

    def __init__(
        self,
        model: Any,
        bank: Bank,
        *,
        fingerprint: str,
        device: torch.device,
        dtype: str,
        pad_id: int,
        checks: self_check.Checks,
    ) -> None:
        """Begin.

        Args:
            model: A causal language model of transformers.
            bank: Its adapters.
            fingerprint: The base's fingerprint.
            device: Where the model is.
            dtype: Number type.
            pad_id: Any valid token id.
            checks: Where outcomes of self-checks are remembered.
        """
        register()
        self.fingerprint, self.device, self.dtype = fingerprint, str(device), dtype
        self.n_vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self.checked: dict[str, SelfCheck] = {}
        self._model = model
        self._bank = bank
        self._device = device
        self._pad_id = pad_id
        self._checks = checks
        self._prefixes = KnownPrefixes()
        self._cannot_share = self._why_not_share()

    @property
    def most_tokens(self) -> int:
        """Most tokens of one forward pass.

        On a CPU half a second's worth, where passes are fastest (measured: 384 to 512 tokens);
        on a GPU a share of the memory that is free now.
        """
        if self._device.type != "cuda":
            return CPU_TOKENS
        free, _ = torch.cuda.mem_get_info(self._device)
        size = self._model.config.get_text_config()
        widths = 4 * size.hidden_size + 3 * size.intermediate_size
        per_token = 4 * (widths + 2 * size.num_hidden_layers * size.hidden_size)
        return int(min(max(GPU_SHARE * free / per_token, CPU_TOKENS), GPU_TOKENS))

    def forget(self, adapter_id: str) -> None:
        """Drop what is remembered of an adapter that goes."""
        self._prefixes.forget(adapter_id)

    def plan(self, rows: Sequence[TokenRow]) -> Plan:
        """Return what scoring these rows will compute; where sharing is off, every row whole."""
        if self._why_not(rows):
            n_tokens = sum(len(r.ids) for r in rows)
            return Plan(rows=tuple(rows), nodes=(), known={}, n_unique=n_tokens, n_naive=n_tokens)
        return plan_rows(rows, self._prefixes.find(rows))

    def run(
        self,
        plan: Plan,
        budget: Callable[[], int],
        is_known: Callable[[int], bool] = lambda row: False,
    ) -> Generator[Portion, None, None]:
        """Yield what every forward pass brings; between two of them no adapter acts.

        Args:
            plan: From `plan`, of this model.
            budget: Tokens of the next forward pass, asked before each.
            is_known: Whether a row has been answered in another way; such rows are left out.

        Raises:
            BaseModelError: If even the smallest forward pass does not fit into memory.
        """
        if plan.nodes:
            yield from self._run_trie(plan, budget, is_known, self._merged_for(plan))
        else:
            yield from self._run_plain(plan.rows, budget, is_known)

    def through_trie(self, rows: Sequence[TokenRow], merged: frozenset[str] = frozenset()) -> list[RowLogits]:
        """Score a few rows through the trie, whatever the self-check says; for that check."""
        plan = plan_rows(rows)
        portions = self._run_trie(plan, lambda: plan.n_unique, lambda row: False, merged)
        found = dict(x for portion in portions for x in portion.rows)
        return [found[i] for i in range(len(rows))]

    def through_plain(self, rows: Sequence[TokenRow]) -> list[RowLogits]:
        """Score a few rows whole, one at a time."""
        found: dict[int, RowLogits] = {}
        for i, row in enumerate(rows):
            for portion in self._run_plain([row], lambda: 1, lambda _: False):
                found.update((i, answer) for _, answer in portion.rows)
        return [found[i] for i in range(len(rows))]

    def merge(self, adapter_id: str) -> None:
        """Make merged weights for an adapter; the oldest ones go when memory for them is short."""
        self._bank.merge(adapter_id)
        held = [i for i in self._bank.merged if i != adapter_id]
        while held and sum(map(self._bank.merged_bytes, (*held, adapter_id))) > MERGED_BYTES:
            self._bank.unmerge(held.pop(0))

    def kind(self, adapter_id: str | None, *, merged: bool = False) -> str:
        """Return the kind of rows that a self-check stands for."""
        if adapter_id is None:
            return "base"
        return ("merged" if merged else "stacked") + (" DoRA" if self._bank.has_gain(adapter_id) else "")

    def sharing(self, adapter_id: str | None = None, *, merged: bool = False) -> SelfCheck:
        """Return how sharing compares with the plain path here, measured once for each kind."""
        kind = self.kind(adapter_id, merged=merged)
        if self._cannot_share:
            fields = {"kind": kind, "device": self.device, "dtype": self.dtype, "n_rows": 0}
            self.checked[kind] = SelfCheck(max_difference=None, reason=self._cannot_share, **fields)  # type: ignore[arg-type]
        elif kind not in self.checked:
            name = self_check.check_name(f"sharing {kind}", self)
            if (known := self._checks.get(name)) is None:
                with self._kept_prefixes():
                    known = to_dict(self_check.sharing_check(self, adapter_id, merged=merged))
                self._checks[name] = known
            self.checked[kind] = from_dict(SelfCheck, known)
        return self.checked[kind]

    def _why_not(self, rows: Sequence[TokenRow]) -> str:
        """Return why these rows go through whole, or nothing."""
        adapter_id = next((r.adapter_id for r in rows if r.adapter_id is not None), None)
        checks = [self.sharing(), *([self.sharing(adapter_id)] if adapter_id else [])]
        return next((c.sentence for c in checks if not c.passed), "")

    def _merged_for(self, plan: Plan) -> frozenset[str]:
        """Return the adapters whose merged weights this plan uses: measured, exact, and worth it."""
        n_tokens: dict[str, int] = {}
        for node in plan.nodes:
            if node.adapter_id is not None:
                n_tokens[node.adapter_id] = n_tokens.get(node.adapter_id, 0) + len(node.ids)
        ready = self._bank.merged
        chosen = set()
        for adapter_id, n in n_tokens.items():
            if n < MERGE_FROM:
                continue
            if self.merge_pays(adapter_id, n) or (adapter_id in ready and self._merging(adapter_id).is_exact):
                self.merge(adapter_id)
                if self.sharing(adapter_id, merged=True).passed:
                    chosen.add(adapter_id)
        return frozenset(chosen)

    def merge_pays(self, adapter_id: str, n_tokens: int) -> bool | None:
        """Return whether merged weights pay for so many tokens; None if there is no memory for them."""
        if self._bank.merged_bytes(adapter_id) > MERGED_BYTES:
            return None
        return self._merging(adapter_id).pays(n_tokens)

    def _merging(self, adapter_id: str) -> MergeCheck:
        name = self_check.check_name(f"merging {self._bank.n_parameters(adapter_id)}", self)
        if (known := self._checks.get(name)) is None:
            with self._kept_prefixes():
                known = to_dict(self_check.merge_check(self, adapter_id))
            self._checks[name] = known
        return from_dict(MergeCheck, known)

    @contextmanager
    def _kept_prefixes(self) -> Iterator[None]:
        """Keep a check's random beginnings out of the known ones."""
        before, self._prefixes = self._prefixes, KnownPrefixes()
        try:
            yield
        finally:
            self._prefixes = before

    def _run_trie(
        self,
        plan: Plan,
        budget: Callable[[], int],
        is_known: Callable[[int], bool],
        merged: frozenset[str],
    ) -> Iterator[Portion]:
        run = TrieRun(
            self._model,
            self._bank,
            plan,
            is_known,
            prefixes=self._prefixes,
            device=self._device,
            merged=merged,
        )
        most = 1 << 30
        while nodes := run.take(min(budget(), most)):
            pending = [nodes]
            while pending:
                portion = pending.pop(0)
                try:
                    with torch.inference_mode():
                        rows: list[tuple[int, RowLogits]] | None = run.run(portion)
                except RuntimeError as error:
                    if not is_out_of_memory(error) or len(portion) == 1:
                        raise _as_sentence(error) from error
                    half = len(portion) // 2
                    pending[:0] = [portion[:half], portion[half:]]
                    most = max(run.n_tokens(portion) // 2, 1)
                    rows = None
                if rows is None:  # here the error is gone, and with it what its frames held
                    _free(self._device)
                    continue
                yield Portion(rows, run.n_tokens(portion))

    def _run_plain(
        self, rows: Sequence[TokenRow], budget: Callable[[], int], is_known: Callable[[int], bool]
    ) -> Iterator[Portion]:
        most = 1 << 30
        for adapter_id in dict.fromkeys(r.adapter_id for r in rows):
            left = [i for i, r in enumerate(rows) if r.adapter_id == adapter_id and not is_known(i)]
            while left := [i for i in left if not is_known(i)]:
                chosen = [rows[i] for i in left]
                group = next(forward.batches([len(r.ids) for r in chosen], min(budget(), most)))
                part = [chosen[k] for k in group]
                width = max(len(r.ids) for r in part)
                try:
                    with torch.inference_mode(), self._bank.acting(adapter_id):
                        batch: list[RowLogits] | None = forward.plain_batch(
                            self._model, part, self._pad_id, self._device
                        )
                except RuntimeError as error:
                    if not is_out_of_memory(error) or len(part) == 1:
                        raise _as_sentence(error) from error
                    most = width * len(part) // 2
                    batch = None
                if batch is None:
                    _free(self._device)
                    continue
                done = [(left[k], answer) for k, answer in zip(group, batch, strict=True)]
                gone = {i for i, _ in done}
                left = [i for i in left if i not in gone]
                yield Portion(done, sum(len(r.ids) for r in part))

    def _why_not_share(self) -> str:
        """Return why key-value sharing would be wrong for this model, or nothing: told by its own cache."""
        from transformers.cache_utils import DynamicLayer

        with torch.inference_mode():
            ids = torch.tensor([[self._pad_id] * 2], device=self._device)
            cache = self._model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        kinds = {type(layer) for layer in getattr(cache, "layers", [])}
        if kinds == {DynamicLayer}:
            return ""
        named = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no cache"
        return f"the model does not keep plain keys and values in every layer ({named})"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether a forward pass failed because memory, the GPU's or the machine's, ran out."""
    signs = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in signs)


def _as_sentence(error: RuntimeError) -> Exception:
    if not is_out_of_memory(error):
        return error
    return BaseModelError(
        "out-of-memory",
        "There is not enough memory for even one piece of a question.",
        "Close other programs that use this device, take a shorter prompt, or a smaller base.",
    )


def _free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
