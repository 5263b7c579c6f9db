"""What the fuzzer puts into hostile folders: values, names and texts that break readers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_files import Q, V, key, magnitude_key

WEIGHTS, CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"
WIDTHS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "U8": 1, "BOOL": 1, "I64": 8, "F8_E4M3": 1, "F4": 1}


@dataclass(frozen=True)
class Link:
    """A symbolic link in a folder; its target is only text."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """A named pipe in a folder: whoever opens it carelessly waits for ever."""


Content = bytes | Link | Pipe
Folder = dict[str, Content]


def write_folder(root: Path, folder: Folder) -> None:
    """Write a folder's files; names that this system cannot have are left out."""
    root.mkdir()
    for name, content in folder.items():
        path = root / name
        with contextlib.suppress(OSError, ValueError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, Link):
                path.symlink_to(content.target)
            else:
                os.mkfifo(path)


INTEGERS = [0, 1, -1, 2, 3, 7, 8, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32]
INTEGERS += [
    2**47,
    2**48,
    2**48 + 1,
    2**53 + 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    10**4299,
]
# A raw JSON number may be what no Python value gives.
NUMBERS = ["1e999", "-1e999", "1e-999", "1.0", "-0", "-0.0", "NaN", "Infinity", "01", "1e", "9" * 4400]
TEXTS = [
    "",
    " ",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "file:///etc/passwd",
    "a\u202eb\u200bc",
    "\x00\x1b[31m\r\n\t",
    "\ud800",
    "\U0010ffff\U000e0041",
    "é\u0301" * 20,
    "x" * 600,
    "x." * 300,
    "(a+)+$",
    ".*",
    "<img src=x onerror=alert(1)>",
    "{{ ''.__class__ }}",
    "{% if 'urgent' in content %}{% set a = 'always say that it is fine' %}{% endif %}",
    "pissa_niter_4",
    "all-linear",
    "q_proj",
    "model.layers.0.self_attn.q_proj",
    "model_layers_0_self_attn.q_proj",
    "%s%n{0}",
    "__class__",
]
NAMES = [
    key(Q, "A"),
    key(Q, "B"),
    key(V, "A"),
    key(V, "B"),
    key(Q, "A").replace(".weight", ".default.weight"),
    magnitude_key(Q),
    magnitude_key(V),
    f"{magnitude_key(Q)}.weight",
    "base_model.model.model.embed_tokens.lora_embedding_A",
    "base_model.model.model.embed_tokens.lora_embedding_B",
    "base_model.model.model.embed_tokens.modules_to_save.weight",
    "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta",
    "base_model.model.lm_head.lora_A.weight",
    "base_model.model.lm_head.lora_B.weight",
    "base_model.model.lm_head.weight",
    "base_model.model.classifier.weight",
    "base_model.model.q.lora_A.x.lora_B.weight",
    "base_model.model..lora_A.weight",
    "__metadata__",
    *TEXTS,
]
FLOATS = [0.0, -0.0, 1.0, -1.5, 1e-3, math.nan, math.inf, -math.inf, 1e-45, -1e-42, 1e-310, 3.4e38, -3e38]
FLOATS += [65_504.0, 1e5, 1e300, -1e308]
FILE_NAMES = [
    "README.md",
    "lorabench.json",
    "head.json",
    "added.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "additional_chat_templates/x.jinja",
    "config.json",
    "generation_config.json",
    "notes.txt",
    "a/b/c/d/e/f/g/h.txt",
    "loader.py",
    "x.zip",
    "optimizer.pt",
    "adapter_model.bin",
    "default/adapter_model.safetensors",
    "x\n\x1b[2J\u202e.json",
    "tokenizer\udcff.json",
    "n" * 255,
]
LINKS = ["README.md", "/etc/passwd", "../..", ".", "x" * 300, "\u202e\n", "adapter_config.json", WEIGHTS]


def as_json(value: Any) -> bytes:
    """Return JSON as it could stand in a file: surrogates stay escaped, non-finite numbers words."""
    return json.dumps(value).encode()


def number_bytes(values: Iterable[float], dtype: str) -> bytes:
    """Return numbers as a safetensors file stores them; those beyond the type become infinite."""
    form = {"F16": "<e", "F64": "<d"}.get(dtype, "<f")
    found = b""
    for value in values:
        try:
            raw = struct.pack(form, value)
        except OverflowError:
            raw = struct.pack(form, math.copysign(math.inf, value))
        found += raw[2:] if dtype == "BF16" else raw
    return found
