"""Write an adapter's folder as PEFT would, with bytes that depend on its content only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from lorabench.adapters.files import safetensors_errors, staged_folder
from lorabench.adapters.head import Head, head_bytes
from lorabench.adapters.inventory import CARD_FILE, CLAIMS_FILE, CONFIG_FILE, HEAD_FILE, WEIGHTS_FILE
from lorabench.adapters.modules import MAGNITUDE, tensor_key
from lorabench.adapters.reader import CheckedAdapter, read_adapter
from lorabench.adapters.text import shown
from lorabench.config import Limits
from lorabench.errors import InputError

_DTYPES = {"F16": np.float16, "F32": np.float32}
_LARGEST = {"F16": 65504.0, "F32": 3.4028235e38}


def write_adapter(
    folder: Path,
    *,
    modules: Mapping[str, tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]],
    rank: int,
    alpha: float,
    use_rslora: bool,
    target_modules: Sequence[str],
    base_model_name: str,
    lorabench_json: Mapping[str, Any],
    card: str,
    dtype: Literal["F16", "F32"] = "F16",
    layers_to_transform: Sequence[int] | None = None,
    magnitudes: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    dropout: float = 0.0,
    head: Head | None = None,
    limits: Limits | None = None,
) -> CheckedAdapter:
    """Write a folder that PEFT and `read_adapter` can load, whole or not at all.

    Equal arguments give equal bytes: keys are sorted and no time is stored. The folder is read
    back with `read_adapter` before it gets its name, so what lorabench writes it also accepts.

    Args:
        folder: Folder to create; must not exist.
        modules: Module name -> (A of shape (rank, in), B of shape (out, rank)).
        rank: Rank of every module.
        alpha: LoRA's alpha.
        use_rslora: Whether the scale is alpha / sqrt(rank).
        target_modules: Names for PEFT's `target_modules`, such as ["q_proj", "v_proj"].
        base_model_name: What `base_model_name_or_path` will say.
        lorabench_json: Provenance for `lorabench.json`; JSON values.
        card: Text of README.md.
        dtype: How numbers are stored.
        layers_to_transform: Layers for PEFT's option of that name; None for all.
        magnitudes: Module name -> DoRA's magnitude vector of shape (out,), for every module; None
            for plain LoRA.
        dropout: What it was trained with; of no effect afterwards.
        head: Classification head, written to a file of its own; the adapter is then one of the model
            without a language head.
        limits: Bounds for reading it back.

    Returns:
        What was read back.

    Raises:
        AdapterRefusedError: The adapter would be refused when read, for instance because it is
            zero everywhere or holds NaN.
        InputError: Rules "folder-exists", "value-out-of-range" and "bad-lorabench-json".
        StorageError: Rules "disk-full" and "cannot-write".
    """
    tensors = {}
    for name in sorted(modules):
        for side, values in zip("AB", modules[name], strict=True):
            tensors[tensor_key(name, side)] = _stored(name, values, dtype)
    for name, vector in sorted((magnitudes or {}).items()):
        tensors[tensor_key(name, MAGNITUDE)] = _stored(name, vector, dtype)
    config = _config(rank, alpha, use_rslora, target_modules, base_model_name, layers_to_transform)
    config |= {"use_dora": magnitudes is not None, "lora_dropout": dropout}
    if head is not None:
        config["task_type"] = "FEATURE_EXTRACTION"
    with staged_folder(folder) as staging:
        with safetensors_errors():
            save_file(tensors, staging / WEIGHTS_FILE, metadata={"format": "pt"})
        (staging / CONFIG_FILE).write_bytes(_json(config))
        (staging / CLAIMS_FILE).write_bytes(_json(dict(lorabench_json)))
        (staging / CARD_FILE).write_bytes(card.encode())
        if head is not None:
            (staging / HEAD_FILE).write_bytes(head_bytes(head))
        checked = read_adapter(staging, limits)
        if checked.facts.claims.lorabench is None:
            raise InputError(
                "bad-lorabench-json",
                " ".join(checked.facts.claims.notes),
                "Give it smaller, shallower values.",
            )
    return checked


def _stored(
    name: str, values: NDArray[np.floating[Any]], dtype: Literal["F16", "F32"]
) -> NDArray[np.floating[Any]]:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=_DTYPES[dtype])
    if np.isinf(stored).sum() > np.isinf(values).sum():
        raise InputError(
            "value-out-of-range",
            f"A weight of '{shown(name)}' is too large for {dtype} (at most {_LARGEST[dtype]:.3g}).",
            "Store it as F32, or train with a smaller learning rate.",
        )
    return stored


def _config(
    rank: int,
    alpha: float,
    use_rslora: bool,
    target_modules: Sequence[str],
    base_model_name: str,
    layers_to_transform: Sequence[int] | None,
) -> dict[str, Any]:
    return {
        "alpha_pattern": {},
        "base_model_name_or_path": base_model_name,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_to_transform": None if layers_to_transform is None else sorted(layers_to_transform),
        "lora_alpha": int(alpha) if float(alpha).is_integer() else float(alpha),
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "rank_pattern": {},
        "target_modules": sorted(target_modules),
        "task_type": "CAUSAL_LM",
        "use_rslora": use_rslora,
    }


def _json(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()
