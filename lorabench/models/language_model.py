"""A loaded base model with its bound adapters: scores, continuations, and differentiable margins.

One thread owns an instance (`lorabench.engine`); nothing here is safe to call from two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lorabench.adapters import CheckedAdapter
from lorabench.errors import BaseModelError, BindingError
from lorabench.models import binding, forward
from lorabench.models.rendering import Renderer
from lorabench.models.rows import RowLogits, TokenRow
from lorabench.results import BindingProof

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
        proofs: Binding proof of every bound adapter, by adapter id.
        shares_prefix: Whether a common prefix may be computed once; off for models with
            sliding windows or recurrent layers, where it would be wrong.
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
    ) -> None:
        """Load a base folder.

        Raises:
            BaseModelError: If the folder cannot be loaded or the device does not exist.
        """
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(choose_device(device))
        self._model: Any = open_causal(folder, name, dtype)
        self._model.to(self._device).eval().requires_grad_(False)
        self.name = name
        self.fingerprint = fingerprint
        self.device = str(self._device)
        self.dtype = dtype
        self.renderer = Renderer(folder)
        self.context_length = int(getattr(self._model.config, "max_position_embeddings", 2048))
        self.proofs: dict[str, BindingProof] = {}
        self._layers: list[Any] = []
        self._prefixes = forward.PrefixCache()
        self.shares_prefix = self._can_share()

    # -- adapters ------------------------------------------------------------------------

    def bind(self, adapter: CheckedAdapter) -> BindingProof:
        """Bind a checked adapter and prove it; binding it again returns the first proof.

        Raises:
            BindingError: If it does not fit or does nothing; nothing is left behind.
        """
        adapter_id = adapter.facts.adapter_id
        if adapter_id in self.proofs:
            self.proofs[adapter_id] = self.proofs.pop(adapter_id)  # most recently used last
            return self.proofs[adapter_id]
        probe = TokenRow(ids=self.renderer.ids(binding.PROBE_TEXT))
        digest, before = binding.sample_digest(self._model), self._probe(probe, None)
        binding.insert(self._model, adapter)
        self._layers = binding.lora_layers(self._model)
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
        while len(self.proofs) > MAX_BOUND:
            self.unbind(next(iter(self.proofs)))
        return proof

    def unbind(self, adapter_id: str) -> None:
        """Remove an adapter; unknown ids are ignored."""
        binding.remove(self._model, adapter_id)
        self._prefixes.forget(adapter_id)
        self._layers = binding.lora_layers(self._model)
        self.proofs.pop(adapter_id, None)

    @contextmanager
    def acting(self, adapter_id: str | None) -> Iterator[None]:
        """Let one bound adapter (None: the base alone) act inside a `with` block.

        Raises:
            BindingError: If the adapter is not bound.
        """
        if adapter_id is not None and adapter_id not in self.proofs:
            self._require_bound(adapter_id)
        with binding.active(self._layers, adapter_id):
            yield

    def _require_bound(self, adapter_id: str) -> None:
        name = binding.peft_name(adapter_id)
        if not any(name in layer.lora_A for layer in self._layers):
            raise BindingError("not-bound", "The adapter is not bound to this model.", "Bind it first.")

    @torch.inference_mode()
    def _probe(self, row: TokenRow, adapter_id: str | None) -> Tensor:
        with self.acting(adapter_id):
            ids = torch.tensor([list(row.ids)], device=self._device)
            logits: Tensor = self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits
        return logits[0, -1].float().cpu()

    # -- scoring and generation ----------------------------------------------------------

    def score_rows(
        self, rows: Sequence[TokenRow], adapter_id: str | None, token_budget: int
    ) -> Iterator[list[tuple[int, RowLogits]]]:
        """Yield finished rows, batch by batch, as (index, logits); between yields no adapter acts."""
        steps = forward.score_rows(
            self._model,
            rows,
            budget=token_budget,
            pad_id=self.renderer.pad_id,
            device=self._device,
            prefixes=self._prefixes if self.shares_prefix else None,
            adapter_id=adapter_id,
        )
        while True:
            with torch.inference_mode(), self.acting(adapter_id):
                batch = next(steps, None)
            if batch is None:
                return
            yield batch

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
        self._layers = []

    def _can_share(self) -> bool:
        from transformers.cache_utils import DynamicLayer

        with torch.inference_mode():
            ids = torch.tensor([[self.renderer.pad_id] * 2], device=self._device)
            cache = self._model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        layers = getattr(cache, "layers", [])
        return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def open_causal(folder: Path, name: str, dtype: str) -> Any:
    """Load a base folder's weights as a transformers model on the CPU, offline, without its own code.

    Raises:
        BaseModelError: If it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM

    number_type = _choose_dtype(dtype)
    _refuse_found_adapter(folder)
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=number_type, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BaseModelError(
            "unreadable-base",
            f"The base model {name!r} cannot be loaded ({type(error).__name__}: {str(error)[:200]}).",
            "Run `lorabench models verify`, and pull it again if it is damaged.",
        ) from error


def _refuse_found_adapter(folder: Path) -> None:
    """A base folder with an adapter config would make transformers load that adapter by itself."""
    if (folder / "adapter_config.json").exists():
        raise BaseModelError(
            "adapter-in-base-folder",
            f"The base folder {folder.name!r} holds an adapter_config.json: an adapter would load unasked.",
            "Move the adapter to a folder of its own.",
        )
    config = folder / "config.json"
    if config.is_file() and "auto_map" in json.loads(config.read_text(encoding="utf-8")):
        raise BaseModelError(
            "remote-code",
            f"The base in {folder.name!r} needs code of its own (auto_map) to load.",
            "Use a base whose architecture ships with transformers; lorabench never runs remote code.",
        )


def choose_device(wanted: str) -> str:
    """Return the device to use; "auto" takes cuda, then mps, then cpu.

    Raises:
        BaseModelError: If the wanted device is not there.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((d for d in ("cuda", "mps") if has[d]), "cpu")
    kind = wanted.split(":", maxsplit=1)[0]
    if not has.get(kind, False):
        present = ", ".join(d for d, ok in has.items() if ok)
        raise BaseModelError(
            "no-such-device",
            f"The device {wanted!r} is not available here.",
            f"Choose one of: auto, {present}.",
        )
    return wanted


def _choose_dtype(name: str) -> torch.dtype:
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if name not in known:
        raise BaseModelError(
            "no-such-dtype", f"There is no number type {name!r} here.", "Choose fp32 or bf16."
        )
    return known[name]
