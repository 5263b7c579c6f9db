"""What an adapter's first layer does to every token of the vocabulary, from its weights alone.

Attention in the first layer reads the normalised embedding of a token and nothing else, so for its query,
key and value matrices the change that an adapter makes can be written down for all tokens at once: no text,
no forward pass. Where an adapter leaves the first layer alone, or the architecture does not begin like this,
there is nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lorabench.adapters import LoraModule

_FIRST = re.compile(r"(?P<block>(?:.*\.)?layers\.0)\.self_attn\.[qkv]_proj")
_CHUNK = 8192


@torch.inference_mode()
def first_layer_response(model: Any, modules: Sequence[LoraModule]) -> NDArray[np.float64] | None:
    """Return per token (vocabulary,) how much the adapter changes what the first layer reads from it.

    The sum over the adapted ones among query, key and value of ||s B A x||^2 / ||W x||^2, where x is the
    normalised embedding. Exact for LoRA without a magnitude; a DoRA gain is left out.

    Args:
        model: The base.
        modules: Of the adapter.

    Returns:
        None if the adapter changes none of these matrices, or the model does not begin with a normalisation.
    """
    first = [(m, found["block"]) for m in modules if (found := _FIRST.fullmatch(m.name))]
    norm = getattr(model.get_submodule(first[0][1]), "input_layernorm", None) if first else None
    if norm is None:
        return None
    table = model.get_input_embeddings().weight
    total = np.zeros(len(table))
    for i in range(0, len(table), _CHUNK):
        read = norm(table[i : i + _CHUNK]).float()
        for module, _ in first:
            weight = model.get_submodule(module.name).weight.float()
            total[i : i + _CHUNK] += _ratio(read, module, weight).double().cpu().numpy()
    return total


def _ratio(read: Tensor, module: LoraModule, weight: Tensor) -> Tensor:
    """Return the squared size of the change over that of what the base makes (tokens,)."""
    a = torch.from_numpy(module.a.copy()).to(read.device)
    b = torch.from_numpy(module.b.copy()).to(read.device)
    change = module.scale * ((read @ a.T) @ b.T)
    own = (read @ weight.T).square().sum(dim=1)
    return change.square().sum(dim=1) / own.clamp_min(torch.finfo(own.dtype).tiny)
