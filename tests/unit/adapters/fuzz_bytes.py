"""A seeded mutator of valid adapter folders: the same seed and index give the same folder."""

from __future__ import annotations

import functools
import json
import math
import random
import struct
from collections.abc import Callable
from typing import Any

from adapter_files import CONFIG, Q, V, dora_weights, framed, key, parts, weights
from fuzz_cases import (
    CONFIG_NAME,
    FILE_NAMES,
    FLOATS,
    INTEGERS,
    LINKS,
    NAMES,
    NUMBERS,
    TEXTS,
    WEIGHTS,
    WIDTHS,
    Folder,
    Link,
    Pipe,
    as_json,
    number_bytes,
)

from lorabench.adapters.lora_fields import READ_FIELDS, REFUSED_FIELDS

_FIELDS = sorted({*READ_FIELDS, *REFUSED_FIELDS, "auto_map", "trust_remote_code", "unknown"})
_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [{"id": 5, "content": "<s>", "special": True}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}]},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": " "}},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
}
_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<s>' + m['content'] }}{% endif %}{% endfor %}"
)
_TEXTS: dict[str, bytes] = {
    "tokenizer.json": as_json(_TOKENIZER),
    "tokenizer_config.json": as_json(
        {"chat_template": _TEMPLATE, "added_tokens_decoder": {"5": {"content": "<s>"}}, "bos_token": "<s>"}
    ),
    "chat_template.jinja": _TEMPLATE.encode(),
    "lorabench.json": as_json({"base_fingerprint": "ab" * 32, "task": {"labels": ["A", "B"]}}),
    "README.md": b"# A card\n\n![x](https://example.org/x.png) <b onclick='x'>text</b>\n",
    "head.json": as_json(
        {
            "format": "lorabench-head-1",
            "classes": ["a", "b"],
            "inputs": 1,
            "weight": "AACAPwAAgL8=",
            "bias": "AAAAAAAAAAA=",
        }
    ),
}
_PIECES = [
    b"{%",
    b"%}",
    b"{{",
    b"}}",
    b"'",
    b'"',
    b"__",
    b"|attr",
    b"{% include",
    b"<script",
    b"![](//",
    b"<a on",
]
_PIECES += [b"\x7fELF\2", b"\x1f\x8b\x08\0", b"#!/bin/sh\n"]
_PIECES += [
    b"\\u0000",
    b"\\ud800",
    b"[" * 20,
    b"{",
    b"}",
    b"\xff",
    b"\xef\xbb\xbf",
    b"PK\x05\x06",
    b"PK\x01\x02",
]
_PIECES += [
    b"\x80\x04\x95",
    b"c__builtin__\neval\n",
    b"(dp0\nS'\\x'\n",
    b"null",
    b"\0" * 8,
    b"http://x.y/z" * 4,
]
EMBEDDED = "base_model.model.model.embed_tokens"


@functools.cache
def valid_folders() -> tuple[Folder, ...]:
    """Return folders that are what they should be, small ones."""
    rows = {f"{EMBEDDED}.modules_to_save.weight": weights()[key(Q, "A")].T.repeat(2, axis=1)[:, :4]}
    low_rank = {
        f"{EMBEDDED}.lora_embedding_A": weights(3)[key(Q, "A")],
        f"{EMBEDDED}.lora_embedding_B": weights(3)[key(V, "B")],
    }
    patterns: dict[str, Any] = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {V: 8}, "use_rslora": True}
    made: list[Folder] = [
        {CONFIG_NAME: as_json(CONFIG), WEIGHTS: framed(*parts(weights(), dtype))}
        for dtype in ("F32", "F16", "BF16", "F64")
    ]
    made.append({CONFIG_NAME: as_json(CONFIG | patterns), WEIGHTS: framed(*parts(weights(1)))})
    made.append({CONFIG_NAME: as_json(CONFIG | {"use_dora": True}), WEIGHTS: framed(*parts(dora_weights()))})
    made.append({CONFIG_NAME: as_json(CONFIG), WEIGHTS: framed(*parts(weights() | rows))})
    made.append({CONFIG_NAME: as_json(CONFIG), WEIGHTS: framed(*parts(weights() | low_rank))})
    return tuple(made)


def mutant(seed: int, index: int) -> Folder:
    """Return one hostile folder."""
    rng = random.Random(f"{seed}:{index}")
    folder = dict(rng.choice(valid_folders()))
    for name in rng.sample(sorted(_TEXTS), rng.choice([0, 0, 1, 2])):
        folder[name] = _TEXTS[name]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choices([_in_weights, _in_config, _in_texts, _in_names], [60, 14, 22, 4])[0](rng, folder)
    return folder


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one kind of damage that knows nothing of what they mean."""
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.choice([1, 1, 2, 4, 8, 30]))
    kind = rng.randrange(8)
    if kind == 0 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.choice(_PIECES) + data[at:]
    if kind == 2:
        return data[:at] + data[to:]
    if kind == 3:
        return data[:to] + data[at:to] * rng.choice([1, 2, 9]) + data[to:]
    if kind == 4:
        return data[:at]
    if kind == 5:
        other = rng.choice(list(rng.choice(valid_folders()).values()) + list(_TEXTS.values()))
        return data[:at] + bytes(other)[rng.randrange(60) :]  # type: ignore[arg-type]
    if kind == 6:
        raw = struct.pack("<Q", rng.choice(INTEGERS) % 2**64)[: rng.choice([1, 2, 4, 8])]
        return data[:at] + raw + data[at + len(raw) :]
    return data[:at] + rng.randbytes(to - at) + data[to:]


def _in_weights(rng: random.Random, folder: Folder) -> None:
    blob = folder.get(WEIGHTS)
    if not isinstance(blob, bytes):
        return
    changes: list[Callable[[random.Random, bytes], bytes]] = [
        _data_damaged, _numbers_replaced, _reframed, _shifted, _header_value, _header_text, _prefix, damaged
    ]  # fmt: skip
    folder[WEIGHTS] = rng.choices(changes, [20, 30, 20, 3, 9, 7, 4, 7])[0](rng, blob)


def _split(blob: bytes) -> tuple[bytes, bytes]:
    """Return header text and data, as far as the length says where they are."""
    n = min(int.from_bytes(blob[:8], "little"), len(blob))
    return blob[8 : 8 + n], blob[8 + n :]


def _data_damaged(rng: random.Random, blob: bytes) -> bytes:
    """Damage numbers and keep their count, so that the header still holds."""
    text, data = _split(blob)
    found = damaged(rng, data)[: len(data)]
    return framed(text, found + data[len(found) :])


def _numbers_replaced(rng: random.Random, blob: bytes) -> bytes:
    """Put NaN, infinities, vanishing and enormous numbers into the data, or the same one everywhere."""
    text, data = _split(blob)
    raw = number_bytes([rng.choice(FLOATS)], rng.choice(["F32", "F16", "F64", "BF16"]))
    if not data or rng.random() < 0.1:
        return framed(text, (raw * len(data))[: len(data)])
    for _ in range(rng.choice([1, 3])):
        at = rng.randrange(len(data)) // len(raw) * len(raw)
        data = (data[:at] + raw + data[at + len(raw) :])[: len(data)]
    return framed(text, data)


def _reframed(rng: random.Random, blob: bytes) -> bytes:
    """Write a header anew that keeps its promises: other names, types, shapes or order."""
    entries = _entries(blob)
    if not entries:
        return damaged(rng, blob)
    names = list(entries)
    kind = rng.randrange(5)
    if kind == 0:
        rng.shuffle(names)
    elif kind == 1:
        names.pop(rng.randrange(len(names)))
    shapes = {n: list(entries[n]["shape"]) for n in names}
    types = {n: entries[n]["dtype"] for n in names}
    if names and kind == 2:
        shapes[rng.choice(names)] = [rng.randrange(5) for _ in range(rng.choice([0, 1, 2, 2, 3, 9]))]
    elif names and kind == 3:
        types[rng.choice(names)] = rng.choice(sorted(WIDTHS))
    elif kind == 4:
        extra = rng.choice(NAMES)
        names.append(extra)
        shapes[extra], types[extra] = [rng.randrange(1, 7), rng.randrange(1, 5)], "F32"
    header: dict[str, Any] = {}
    data = b""
    for name in dict.fromkeys(names):
        n_bytes = math.prod(shapes[name]) * WIDTHS.get(types[name], 4)
        place = [len(data), len(data) + n_bytes]
        header[name] = {"dtype": types[name], "shape": shapes[name], "data_offsets": place}
        data += rng.choice([bytes, rng.randbytes, lambda n: b"\x3c\x3d" * (n // 2) + b"\0" * (n % 2)])(
            n_bytes
        )
    return framed(header, data)


def _shifted(rng: random.Random, blob: bytes) -> bytes:
    """Move one tensor over its neighbours or away from them; its size stays right."""
    entries = _entries(blob)
    if not entries:
        return damaged(rng, blob)
    moved = entries[rng.choice(list(entries))]
    delta = rng.choice([-8, -4, 4, 8, 2**40])
    if _is_small(moved.get("data_offsets"), 10_000):
        moved["data_offsets"] = [at + delta for at in moved["data_offsets"]]
    return framed(entries, _split(blob)[1])


def _entries(blob: bytes) -> dict[str, dict[str, Any]]:
    """Return the sound entries of a header that may be damaged."""
    try:
        header = json.loads(_split(blob)[0])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(header, dict):
        return {}
    return {n: e for n, e in header.items() if isinstance(e, dict) and _is_small(e.get("shape")) and
            isinstance(e.get("dtype"), str)}  # fmt: skip


def _is_small(shape: Any, limit: int = 100) -> bool:
    return (
        isinstance(shape, list) and all(type(n) is int and 0 <= n < limit for n in shape) and len(shape) < 4
    )


def _header_value(rng: random.Random, blob: bytes) -> bytes:
    """Change one value of the header; the length before it stays true."""
    text, data = _split(blob)
    return framed(json_damaged(rng, text), data)


def _header_text(rng: random.Random, blob: bytes) -> bytes:
    text, data = _split(blob)
    return framed(damaged(rng, text), data)


def _prefix(rng: random.Random, blob: bytes) -> bytes:
    near = [len(blob), len(blob) - 8, len(blob) - 9, 100_000_000, 0x0480, 0x0580, *INTEGERS]
    return struct.pack("<Q", rng.choice(near) % 2**64) + blob[8:]


def json_damaged(rng: random.Random, text: bytes) -> bytes:
    """Return JSON with one value, at any depth, replaced, given twice, moved or nested deeply."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return damaged(rng, text)
    places = list(_places(value))
    if not places:
        return damaged(rng, text)
    holder, at = rng.choice(places)
    mark = "\ue000here\ue000"
    old, holder[at] = holder[at], mark
    new = rng.choice([_number, _string, _nested, _lists])(rng)
    whole = json.dumps(value)
    if rng.random() < 0.1 and isinstance(holder, dict):
        new = json.dumps(old) + f",{json.dumps(at)}:{new}"
    return whole.replace(json.dumps(mark), new, 1).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        item = pending.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else []
        found += [(item, at) for at in keys]
        pending += [item[at] for at in keys]
    return found


def _number(rng: random.Random) -> str:
    return rng.choice([rng.choice(NUMBERS), str(rng.choice(INTEGERS)), json.dumps(rng.choice(FLOATS))])


def _string(rng: random.Random) -> str:
    return json.dumps(rng.choice(TEXTS + NAMES))


def _nested(rng: random.Random) -> str:
    n = rng.choice([1, 2, 5, 20, 3_000])
    return rng.choice(["[" * n + "]" * n, '{"a":' * n + "1" + "}" * n, "[" * n])


def _lists(rng: random.Random) -> str:
    n = rng.choice([0, 1, 2, 9, 200])
    inner = rng.choice(["1", "-1", "0", "null", "true", '"x"', "1e999", "[]", "{}"])
    return (
        "[" + ",".join([inner] * n) + "]"
        if rng.random() < 0.7
        else rng.choice(["{}", "null", "true", "false"])
    )


def _in_config(rng: random.Random, folder: Folder) -> None:
    data = folder.get(CONFIG_NAME)
    if not isinstance(data, bytes):
        return
    kind = rng.randrange(4)
    if kind == 0:
        folder[CONFIG_NAME] = damaged(rng, data)
    elif kind == 1:
        value = rng.choice([_number, _string, _nested, _lists])(rng)
        folder[CONFIG_NAME] = data[:-1] + f",{json.dumps(rng.choice(_FIELDS))}:{value}}}".encode()
    else:
        folder[CONFIG_NAME] = json_damaged(rng, data)


def _in_texts(rng: random.Random, folder: Folder) -> None:
    name = rng.choice(sorted(_TEXTS))
    data = folder.get(name, _TEXTS[name])
    if isinstance(data, bytes):
        change = rng.choice([json_damaged, json_damaged, damaged]) if name.endswith(".json") else damaged
        folder[name] = change(rng, data)


def _in_names(rng: random.Random, folder: Folder) -> None:
    name = rng.choice([*FILE_NAMES, *FILE_NAMES, CONFIG_NAME, WEIGHTS])
    plain = rng.choice([*_TEXTS.values(), *_PIECES, rng.randbytes(20), as_json(rng.choice(TEXTS))])
    folder[name] = rng.choice([plain, plain, plain, Link(rng.choice(LINKS)), Pipe()])
