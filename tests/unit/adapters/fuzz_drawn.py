"""Hypothesis strategies for hostile adapter folders: sound in most parts, so that the others are reached."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from adapter_files import CONFIG, Q, V, framed, key, magnitude_key
from fuzz_cases import (
    CONFIG_NAME,
    FILE_NAMES,
    FLOATS,
    INTEGERS,
    LINKS,
    NAMES,
    TEXTS,
    WEIGHTS,
    WIDTHS,
    Content,
    Folder,
    Link,
    Pipe,
    as_json,
    number_bytes,
)
from hypothesis import strategies as st

from lorabench.adapters.lora_fields import READ_FIELDS, REFUSED_FIELDS

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
        "rank_pattern": st.dictionaries(st.sampled_from(["x", "a.b", "q"]), st.integers(1, 3)),
        "alpha_pattern": st.dictionaries(
            st.sampled_from(["q_proj", "self_attn.v_proj", V, "x"]), st.sampled_from([1, 8.5, -1e9])
        ),
        "target_modules": st.one_of(texts, st.lists(texts, max_size=4)),
        "base_model_name_or_path": texts,
        "init_lora_weights": st.one_of(st.booleans(), texts),
        "task_type": st.sampled_from(["CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS", None]),
        "modules_to_save": st.just([]),
        "revision": texts,
    },
)


@st.composite
def configs(draw: st.DrawFn, rank: int, dora: bool, sound: bool) -> bytes:
    """Draw an `adapter_config.json`: sound, with wrong values, with keys given twice, or of any kind."""
    config = CONFIG | draw(sound_changes) | {"r": rank, "use_dora": dora}
    kind = "sound" if sound else draw(st.sampled_from(["wrong", "wrong", "wrong", "twice", "any", "cut"]))
    if kind == "wrong":
        config |= draw(st.dictionaries(fields, any_json, min_size=1, max_size=3))
    if kind == "any":
        return as_json(draw(any_json))
    data = as_json(config)
    if kind == "twice":
        return data[:-1] + b"," + as_json(draw(fields)) + b":" + as_json(draw(scalars)) + b"}"
    return data[: draw(st.integers(0, len(data)))] if kind == "cut" else data


@st.composite
def tensors(draw: st.DrawFn, rank: int, dora: bool, odd: str) -> list[tuple[str, str, list[int], bytes]]:
    """Draw name, type, shape and bytes of tensors, with odd "names", "shapes", "types", "numbers" or none."""
    n_in, n_out = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    planned = [(key(m, "A"), [rank, n_in]) for m in (Q, V)] + [(key(m, "B"), [n_out, rank]) for m in (Q, V)]
    if dora:
        planned += [(magnitude_key(m), [n_out]) for m in (Q, V)]
    shapes = st.lists(st.integers(0, 4), max_size=4)
    if odd == "names":
        planned += draw(st.lists(st.tuples(st.sampled_from(NAMES), shapes), min_size=1, max_size=3))
    if odd == "shapes":
        at = draw(st.integers(0, len(planned) - 1))
        planned[at : at + 1] = draw(st.sampled_from([[], [(planned[at][0], draw(shapes))]]))
    dtype = draw(st.sampled_from(["F32", "F16", "BF16", "F64"]))
    found = []
    for name, shape in draw(st.permutations(list(dict(planned).items()))):
        kind = draw(st.sampled_from(sorted(WIDTHS))) if odd == "types" else dtype
        usual = st.lists(st.sampled_from(FLOATS if odd == "numbers" else FLOATS[:5]), min_size=1, max_size=6)
        raw = number_bytes(draw(usual), kind)
        n_bytes = math.prod(shape) * WIDTHS[kind]
        found.append((name, kind, shape, (raw * (n_bytes // len(raw) + 1))[:n_bytes]))
    return found


@st.composite
def weight_files(draw: st.DrawFn, rank: int, dora: bool, odd: str, lie: str) -> bytes:
    """Draw a safetensors file, framed as it should be or with one lie in its header."""
    parts: list[tuple[str, Any]] = []
    data = b""
    for name, dtype, shape, raw in draw(tensors(rank, dora, odd)):
        place = [len(data), len(data) + len(raw)]
        parts.append((name, {"dtype": dtype, "shape": shape, "data_offsets": place}))
        data += raw
    at = draw(st.integers(0, len(parts) - 1))
    if lie == "entry":
        parts[at] = (parts[at][0], draw(any_json))
    elif lie == "value":
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "x"]))
        parts[at] = (parts[at][0], parts[at][1] | {field: draw(any_json)})
    elif lie == "offset":
        places = draw(st.lists(st.sampled_from(INTEGERS), min_size=2, max_size=2))
        parts[at] = (parts[at][0], parts[at][1] | {"data_offsets": places})
    elif lie == "shift":
        delta = draw(st.sampled_from([-4, 4, 2**40]))
        parts[at][1]["data_offsets"] = [max(0, n + delta) for n in parts[at][1]["data_offsets"]]
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
        "added_tokens_decoder": st.dictionaries(
            st.sampled_from(["0", "7", "\u0663", "x", "9" * 12]), any_json
        ),
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
_ODD = ["none", "numbers", "names", "shapes", "types"]
_LIES = ["entry", "value", "offset", "shift", "twice", "metadata", "data", "length"]
_HOSTILE = ["files", "tensors", "tensors", "header", "config", "place", "all"]


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    """Draw a folder with an adapter in it of which one part is hostile, or all of them."""
    part = draw(st.sampled_from(_HOSTILE))
    rank, dora = draw(st.sampled_from([2, 1, 3])), draw(st.booleans())
    odd = draw(st.sampled_from(_ODD)) if part in ("tensors", "all") else "none"
    lie = draw(st.sampled_from(_LIES)) if part == "header" else "none"
    found: Folder = {
        CONFIG_NAME: draw(configs(rank, dora, sound=part not in ("config", "all"))),
        WEIGHTS: draw(weight_files(rank, dora, odd, lie)),
    }
    if part in ("files", "all"):
        for name in draw(st.lists(file_names, min_size=1, max_size=3)):
            found[name] = draw(contents(name))
    if part == "place":
        found[draw(st.sampled_from([CONFIG_NAME, WEIGHTS]))] = draw(contents("x"))
    return found
