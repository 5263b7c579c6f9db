"""Whether a value built from somebody else's JSON really has the types that it declares.

`results.from_dict` trusts its input, because it reads our own files. What comes from another
case book is looked at once more with this, before anything of it is kept.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any

_JSON_DEPTH = 24


def conforms(kind: Any, value: Any) -> bool:
    """Return whether `value` is a `kind` all the way down.

    Args:
        kind: A dataclass, a plain type, or a `Literal`, union, tuple or dict of those; `Any` is any
            JSON value of bounded depth.
        value: What to look at.
    """
    if kind is Any:
        return _is_json(value, _JSON_DEPTH)
    if dataclasses.is_dataclass(kind):
        return type(value) is kind and all(
            conforms(inner, getattr(value, name)) for name, inner in _fields(typing.cast(type, kind))
        )
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return isinstance(value, str) and value in inner
    if origin in (typing.Union, types.UnionType):
        return any(conforms(one, value) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and _each(inner, value)
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(k, str) and conforms(inner[1], v) for k, v in value.items()
        )
    return _is_plain(kind, value)


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((f.name, hints[f.name]) for f in dataclasses.fields(kind))


def _each(kinds: tuple[Any, ...], values: tuple[Any, ...]) -> bool:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return all(conforms(kinds[0], v) for v in values)
    return len(kinds) == len(values) and all(conforms(k, v) for k, v in zip(kinds, values, strict=True))


def _is_plain(kind: Any, value: Any) -> bool:
    if kind is float:  # JSON writes 1.0 as 1 at times
        return isinstance(value, float) or _is_int(value)
    if kind is int:
        return _is_int(value)
    return type(value) is kind  # str, bool, None


def _is_int(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63  # larger ones overflow where they are divided


def _is_json(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(k, str) and _is_json(v, depth - 1) for k, v in value.items())
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_json(v, depth - 1) for v in value)
    return value is None or isinstance(value, str | float | bool) or _is_int(value)
