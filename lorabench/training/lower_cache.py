"""Adapting only the top layers: what lies below is computed once per row and kept.

Below the lowest adapted layer nothing changes during a training, so the states that enter it are
constants of the rows. They are computed once, stored in one table, and the training runs the
upper layers alone. Exact: the same numbers enter the same layers. Rows share their common
beginning in the table as well.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lorabench.errors import TrainingError
from lorabench.models.forward import batches, common_prefix, expand_cache
from lorabench.training.answering import Example, answer_loss

MAX_BYTES = 2 * 1024**3
_TOKENS = 2048


class LowerCache:
    """The states below an adapter, and the model above them.

    Calling it with `input_ids` that are rows of the table runs the upper model on those states.
    """

    def __init__(self, model: Any, first_layer: int, device: torch.device) -> None:
        """Prepare the two halves of a model; they share every tensor with it.

        Args:
            model: A causal language model with an adapter from `first_layer` upwards.
            first_layer: Lowest adapted layer.
            device: Where the model is.

        Raises:
            TrainingError: If the model is not built of plain blocks.
        """
        if not first_layer:
            raise TrainingError(
                "nothing-below",
                "The adapter begins at layer 0, so there is nothing below it to keep.",
                "Choose a higher first layer, or leave the cache of lower layers off.",
            )
        try:
            self._lower = _part(model, 0, first_layer).model
            self._upper = _part(model, first_layer, len(model.model.layers))
        except AttributeError as error:
            raise TrainingError(
                "no-plain-blocks",
                f"The lower layers of {type(model).__name__} cannot be kept ({error}).",
                "Train without the cache of lower layers.",
            ) from error
        self._lower.norm = torch.nn.Identity()  # its own copy: what enters the next block is not normed
        self._device = device
        self._table = torch.empty(0)

    def take(self, examples: Sequence[Example], pad_id: int) -> list[Example]:
        """Compute the states of all rows; return the rows with table rows in place of token ids.

        Raises:
            TrainingError: If the table would be larger than `MAX_BYTES`.
        """
        shared = common_prefix([e.ids for e in examples])
        n_states = shared + sum(len(e.ids) - shared for e in examples)
        width = int(self._upper.config.hidden_size)
        if n_states * width * 4 > MAX_BYTES:
            raise TrainingError(
                "cache-too-large",
                f"The states of {n_states:,} tokens need {n_states * width * 4 / 1e9:.1f} GB; "
                f"at most {MAX_BYTES / 1e9:.1f} GB are kept.",
                "Train without the cache of lower layers, or with fewer or shorter rows.",
            )
        table = torch.empty(n_states, width, device=self._device)
        at, made = shared, []
        starts = []
        for e in examples:
            starts.append(at)
            made.append(
                Example(
                    ids=(*range(shared), *range(at, at + len(e.ids) - shared)),
                    answer=e.answer,
                )
            )
            at += len(e.ids) - shared
        with torch.no_grad():
            cache = None
            if shared:
                ids = torch.tensor([examples[0].ids[:shared]], device=self._device)
                out = self._lower(input_ids=ids, use_cache=True)
                table[:shared], cache = out.last_hidden_state[0], out.past_key_values
            for group in batches([len(e.ids) - shared for e in examples], _TOKENS):
                rows = [examples[i].ids[shared:] for i in group]
                for i, states in zip(group, self._states(rows, shared, cache, pad_id), strict=True):
                    table[starts[i] : starts[i] + len(states)] = states
        self._table = table
        return made

    def _states(
        self, rows: Sequence[tuple[int, ...]], shared: int, cache: Any | None, pad_id: int
    ) -> list[Tensor]:
        """Return the states (tokens, width) of each row; their common beginning is in the cache."""
        n, width = len(rows), max(map(len, rows))
        ids = torch.tensor([list(r) + [pad_id] * (width - len(r)) for r in rows], device=self._device)
        seen = torch.ones(n, shared, dtype=torch.long, device=self._device)
        own = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=self._device)
        out = self._lower(
            input_ids=ids,
            attention_mask=torch.cat([seen, own], dim=1),
            position_ids=torch.arange(shared, shared + width, device=self._device).expand(n, -1),
            past_key_values=expand_cache(cache, n) if cache is not None else None,
            use_cache=cache is not None,
        ).last_hidden_state
        return [out[k, : len(r)] for k, r in enumerate(rows)]

    def __call__(self, *, input_ids: Tensor, **rest: Any) -> Any:
        """Run the upper layers; `input_ids` are rows of the table, everything else is as usual."""
        out = self._upper(inputs_embeds=self._table[input_ids], **rest)
        return SimpleNamespace(logits=out.logits, past_key_values=out.past_key_values)

    def answer_loss(self, examples: Sequence[Example], *, token_budget: int) -> float:
        """Do as `answering.answer_loss`, for rows that came from `take`."""
        return answer_loss(self, examples, token_budget=token_budget, pad_id=0, device=self._device)


def _part(model: Any, first: int, stop: int) -> Any:
    """Return the model with blocks [first, stop) only, sharing every tensor with it."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = stop - first
    if getattr(config, "layer_types", None):
        config.layer_types = list(config.layer_types)[first:stop]
    part = _twin(model)
    part.model = _twin(model.model)
    part.config = part.model.config = config
    blocks = []
    for i, layer in enumerate(model.model.layers[first:stop]):
        block = _twin(layer)
        block.self_attn = _twin(layer.self_attn)
        block.self_attn.layer_idx = i  # the key-value cache counts its layers from 0
        blocks.append(block)
    part.model.layers = torch.nn.ModuleList(blocks)
    return part


def _twin(module: Any) -> Any:
    """Return a shallow copy whose sub-modules can be exchanged without touching the original's."""
    twin = copy.copy(module)
    twin.__dict__ = dict(module.__dict__)
    twin._modules = dict(module._modules)
    return twin
