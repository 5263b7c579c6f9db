"""Hostile folders for the fuzzer: what a folder is, values that break readers, and Hypothesis strategies."""

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

from adapter_files import CONFIG, Q, V, framed, key, magnitude_key
from hypothesis import strategies as st

from lorabench.adapters.lora_fields import READ_FIELDS, REFUSED_FIELDS

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
INTEGERS += [2**47, 2**48, 2**48 + 1, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**4299]
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


# --- Hypothesis -----------------------------------------------------------------------------------

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(INTEGERS), st.sampled_from(FLOATS), st.integers(-3, 9), texts
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
deep_values = st.integers(1, 40).map(lambda n: json.loads("[" * n + "]" * n))
any_json = st.one_of(json_values, deep_values)
fields = st.one_of(st.sampled_from(sorted({*READ_FIELDS, *REFUSED_FIELDS, "auto_map", "_attn"})), texts)
sound_changes = st.fixed_dictionaries(
    {},
    optional={
        "lora_alpha": st.sampled_from([1, 2.5, -4, 1e9, 1e-300, 5e-324]),
        "use_rslora": st.booleans(),
        "use_dora": st.booleans(),
        "rank_pattern": st.dictionaries(st.sampled_from(["q_proj", "v_proj", Q, "a.b"]), st.integers(1, 3)),
        "alpha_pattern": st.dictionaries(
            st.sampled_from(["q_proj", "self_attn.v_proj", V, "x"]), st.sampled_from([1, 8.5, -1e9])
        ),
        "target_modules": st.one_of(texts, st.lists(texts, max_size=4)),
        "base_model_name_or_path": texts,
        "init_lora_weights": st.one_of(st.booleans(), texts),
        "task_type": st.sampled_from(["CAUSAL_LM", "SEQ_CLS", None]),
        "modules_to_save": st.just([]),
        "revision": texts,
    },
)


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    """Draw an `adapter_config.json`: sound, with wrong values, with keys given twice, or of any kind."""
    kind = draw(st.sampled_from(["sound"] * 5 + ["wrong"] * 3 + ["twice", "any", "cut"]))
    config = CONFIG | draw(sound_changes)
    if kind == "wrong":
        config |= draw(st.dictionaries(fields, any_json, min_size=1, max_size=3))
    if kind == "any":
        return as_json(draw(any_json))
    data = as_json(config)
    if kind == "twice":
        return data[:-1] + b"," + as_json(draw(fields)) + b":" + as_json(draw(scalars)) + b"}"
    return data[: draw(st.integers(0, len(data)))] if kind == "cut" else data


@st.composite
def tensors(draw: st.DrawFn) -> list[tuple[str, str, list[int], bytes]]:
    """Draw name, type, shape and bytes of tensors: pairs with or without a partner or DoRA's vector."""
    found: list[tuple[str, str, list[int], bytes]] = []
    rank = draw(st.sampled_from([2, 2, 2, 2, 1, 3]))
    dtype = draw(st.sampled_from(["F32", "F32", "F16", "BF16", "F64"]))
    n_in, n_out = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    planned = [(key(m, "A"), [rank, n_in]) for m in (Q, V)] + [(key(m, "B"), [n_out, rank]) for m in (Q, V)]
    if draw(st.integers(0, 3)) == 0:
        planned += [(magnitude_key(m), [n_out]) for m in (Q, V)]
    if draw(st.integers(0, 2)) == 0:
        shape = st.lists(st.integers(0, 4), max_size=4)
        planned += draw(st.lists(st.tuples(st.sampled_from(NAMES), shape), min_size=1, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        planned.pop(draw(st.integers(0, 3)))
    odd_values = draw(st.integers(0, 2)) == 0
    for name, shape in draw(st.permutations(list(dict(planned).items()))):
        kind = draw(st.sampled_from(sorted(WIDTHS))) if draw(st.integers(0, 40)) == 0 else dtype
        values = draw(st.lists(st.sampled_from(FLOATS[:5] if not odd_values else FLOATS), min_size=1, max_size=6))
        raw = number_bytes(values, kind)
        n_bytes = math.prod(shape) * WIDTHS[kind]
        found.append((name, kind, shape, (raw * (n_bytes // len(raw) + 1))[:n_bytes]))
    return found


@st.composite
def weight_files(draw: st.DrawFn) -> bytes:
    """Draw a safetensors file: framed as it should be, or with lies in its header."""
    drawn = draw(tensors())
    parts: list[tuple[str, Any]] = []
    data = b""
    for name, dtype, shape, raw in drawn:
        place = [len(data), len(data) + len(raw)]
        parts.append((name, {"dtype": dtype, "shape": shape, "data_offsets": place}))
        data += raw
    lie = draw(st.sampled_from(["none"] * 14 + ["entry", "value", "offset", "twice", "metadata", "data", "length"]))
    at = draw(st.integers(0, len(parts) - 1))
    if lie == "entry":
        parts[at] = (parts[at][0], draw(any_json))
    elif lie == "value":
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "x"]))
        parts[at] = (parts[at][0], parts[at][1] | {field: draw(any_json)})
    elif lie == "offset":
        places = draw(st.lists(st.sampled_from(INTEGERS), min_size=2, max_size=2))
        parts[at] = (parts[at][0], parts[at][1] | {"data_offsets": places})
    elif lie == "metadata":
        parts.append(("__metadata__", draw(any_json)))
    elif lie == "data":
        data = draw(st.sampled_from([data + b"\0", data[:-1], data * 2, b""]))
    elif lie == "twice":
        parts.append(parts[at])
    text = b"{" + b",".join(as_json(n) + b":" + as_json(v) for n, v in parts) + b"}"
    text += b" " * draw(st.integers(0, 8))
    if lie == "length":
        return struct.pack("<Q", draw(st.sampled_from(INTEGERS)) % 2**64) + text + data
    return framed(text, data)


tokenizers = st.fixed_dictionaries(
    {},
    optional={
        "model": st.one_of(
            any_json,
            st.fixed_dictionaries({"vocab": any_json}, optional={"merges": any_json, "type": any_json}),
        ),
        "added_tokens": st.one_of(
            any_json,
            st.lists(st.fixed_dictionaries({"content": scalars, "id": scalars}), max_size=3),
        ),
        "added_tokens_decoder": st.dictionaries(st.sampled_from(["0", "7", "\u0663", "x", "9" * 12]), any_json),
        "normalizer": st.one_of(
            any_json,
            st.fixed_dictionaries({"type": st.sampled_from(["Prepend", "Replace"]), "content": scalars}),
        ),
        "post_processor": any_json,
        "chat_template": st.one_of(
            any_json, texts, st.lists(st.fixed_dictionaries({"template": scalars}), max_size=2)
        ),
        "auto_map": any_json,
    },
)
heads = st.fixed_dictionaries(
    {"format": st.sampled_from(["lorabench-head-1", 1])},
    optional={
        "classes": st.one_of(any_json, st.lists(texts, min_size=2, max_size=3)),
        "inputs": st.one_of(scalars, st.sampled_from(INTEGERS)),
        "weight": st.one_of(scalars, st.sampled_from(["AAAA" * 8, "AACAfw==", "é", "===="])),
        "bias": st.one_of(scalars, st.sampled_from(["AAAAAAAAAAA=", "AACAfwAAgH8="])),
    },
)
claims = st.dictionaries(
    st.one_of(texts, st.sampled_from(["base_fingerprint", "task"])), any_json, max_size=3
)


def contents(name: str) -> st.SearchStrategy[Content]:
    """Draw what a file of some name holds: fitting JSON, other JSON, texts, bytes, a link or a pipe."""
    fitting: st.SearchStrategy[Any] = tokenizers
    fitting = {"head.json": heads, "lorabench.json": claims}.get(name, fitting)
    plain = texts.map(lambda t: t.encode("utf-8", "surrogatepass"))
    starts = st.sampled_from([b"\x80\x04\x95", b"PK\x03\x04", b"PK\x05\x06", b"#!/", b"\x7fELF", b"c", b"(d"])
    loose = st.one_of(plain, st.binary(max_size=40), st.tuples(starts, st.binary(max_size=40)).map(b"".join))
    links = st.one_of(st.sampled_from(LINKS), st.text(min_size=1, max_size=9)).map(Link)
    known = [fitting.map(as_json), any_json.map(as_json), loose] if name.endswith(".json") else [loose, plain]
    return st.integers(0, 24).flatmap(
        lambda n: links if n == 0 else st.just(Pipe()) if n == 1 else st.one_of(known)
    )


file_names = st.one_of(st.sampled_from(FILE_NAMES), st.text(min_size=1, max_size=9))


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    """Draw a folder with an adapter in it, sound in most of its parts."""
    found: Folder = {CONFIG_NAME: draw(configs()), WEIGHTS: draw(weight_files())}
    n_more = draw(st.sampled_from([0, 0, 1, 1, 2, 3]))
    for name in draw(st.lists(file_names, min_size=n_more, max_size=n_more)):
        found[name] = draw(contents(name))
    if draw(st.integers(0, 30)) == 0:
        found[draw(st.sampled_from([CONFIG_NAME, WEIGHTS]))] = draw(contents("x"))
    return found
