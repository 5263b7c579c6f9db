"""Open a base folder as a transformers model: offline, safetensors only, without its own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from lorabench.errors import BaseModelError
from lorabench.models.library import LOADING, transformers_class


def open_causal(folder: Path, name: str, dtype: str) -> Any:
    """Load a base folder's weights as a transformers model on the CPU, offline, without its own code.

    Raises:
        BaseModelError: If it cannot be loaded.
    """
    return _open(transformers_class("AutoModelForCausalLM"), folder, name, dtype)


def open_backbone(folder: Path, name: str, dtype: str) -> Any:
    """Load a base folder's model without any head, as `open_causal` does.

    Raises:
        BaseModelError: If it cannot be loaded.
    """
    return _open(transformers_class("AutoModel"), folder, name, dtype)


def _open(kind: Any, folder: Path, name: str, dtype: str) -> Any:
    number_type = _choose_dtype(dtype)
    _refuse_found_adapter(folder)
    try:
        with LOADING:
            return kind.from_pretrained(
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
