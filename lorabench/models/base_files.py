"""Which files a base model may consist of, whoever published it.

A base is the user's own choice, but its folder is still read with care: safetensors weights and
JSON only, nothing that makes transformers import code, and no adapter beside the weights, which
transformers would load unasked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError
from lorabench.models.registry import BaseSpec

WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
EXTRAS = frozenset(
    {
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "chat_template.jinja",
        "chat_template.json",
    }
)
"""Files that are fetched beside the weights. Code (`*.py`) and pickles are never among them."""

_MAX_JSON = 64 * 1024**2


def check_folder(folder: Path, spec: BaseSpec) -> None:
    """Refuse a folder that is not a plain base model: safetensors, no code, no adapter.

    Raises:
        BaseModelError: With the reason.
    """
    check_names({path.name for path in folder.iterdir()}, str(folder), is_local=True)
    check_configs(folder, spec)


def check_names(names: Iterable[str], where: str, *, is_local: bool = False) -> None:
    """Refuse a list of files from which no base model can be loaded safely.

    Args:
        names: File names.
        where: Repository or folder, for the message.
        is_local: A local folder may not hold `adapter_config.json` at all, as transformers would
            load that adapter by itself; from a hub that file is simply not fetched.

    Raises:
        BaseModelError: With the reason.
    """
    present = set(names)
    has_weights = any(WEIGHTS.fullmatch(name) for name in present)
    if "adapter_config.json" in present and (is_local or not has_weights):
        raise BaseModelError(
            "base-is-adapter",
            f"{where!r} holds an adapter (adapter_config.json), not a plain base model.",
            "Choose the base model it was trained on; add adapters with `lorabench adapters add`.",
        )
    if not has_weights and any(name.endswith(PICKLES) for name in present):
        raise BaseModelError(
            "base-pickle-only",
            f"{where!r} stores its weights only as pickle files, which can run code when they are opened.",
            "Choose a base model that is published as safetensors.",
        )
    missing = [name for name in ("config.json",) if name not in present]
    if not has_weights:
        missing.append("model.safetensors")
    if missing:
        raise BaseModelError(
            "base-files-missing",
            f"{where!r} has no {' and no '.join(missing)}.",
            "Choose a transformers model with config.json and safetensors weights.",
        )


def check_configs(folder: Path, spec: BaseSpec) -> None:
    """Refuse configs that ask for remote code, quantised weights, or files outside the folder.

    Raises:
        BaseModelError: With the reason.
    """
    config = _read_json(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and (key := _code_key(_read_json(path))):
            raise BaseModelError(
                "base-remote-code",
                f"{name} of {spec.base_id!r} asks for code from its repository ({key!r}).",
                "lorabench runs no such code. Choose a model that transformers supports by itself.",
            )
    if config.get("quantization_config"):
        raise BaseModelError(
            "base-quantised",
            f"The weights of {spec.base_id!r} are stored quantised.",
            "Choose the unquantised model: lorabench measures in fp32 or bf16.",
        )
    if spec.architectures and config.get("model_type") not in spec.architectures:
        raise BaseModelError(
            "base-architecture",
            f"config.json of {spec.base_id!r} names the model type {config.get('model_type')!r}.",
            f"Expected: {', '.join(spec.architectures)}. Check the repository or folder.",
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _read_json(index).get("weight_map")
        values = shards.values() if isinstance(shards, dict) else [None]
        if not all(isinstance(name, str) and WEIGHTS.fullmatch(name) for name in values):
            raise BaseModelError(
                "base-index",
                f"The weight index of {spec.base_id!r} names files other than model-*.safetensors.",
                "Choose another source for this model.",
            )


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer files of a folder carry a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(_read_json(path).get("chat_template"))


def _code_key(value: Any) -> str | None:
    """Return the first key, at any depth, that would make transformers import code."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if key == "auto_map" or key.startswith("_attn_implementation"):
                    return str(key)
                stack.append(inner)
        elif isinstance(item, list):
            stack.extend(item)
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError("too large")
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(
            "base-config",
            f"{path.name} cannot be read ({type(error).__name__}: {error}).",
            "Choose another source for this model, or pull it again.",
        ) from error
    return values
