"""Results as plain JSON values, and the digests that name them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")


def to_dict(value: Any) -> Any:
    """Return `value` as JSON types: dataclasses become objects, tuples become arrays.

    Non-finite floats become None, because JSON has no word for them. Derived values that a
    reader wants (a rate, an interval) are added by a result's own `extra_fields()`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
        extra = getattr(value, "extra_fields", None)
        if extra is not None:
            fields.update({k: to_dict(v) for k, v in extra().items()})
        return fields
    if isinstance(value, dict):
        return {str(k): to_dict(v) for k, v in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [to_dict(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return value.name
    return value


def digest(value: Any) -> str:
    """Return the sha256 (hex) of a result's canonical JSON: equal values, equal digests."""
    text = json.dumps(to_dict(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def from_dict(cls: type[T], data: Any) -> T:
    """Rebuild a result from `to_dict`'s output; derived fields are ignored.

    For our own files only: it checks names and nesting, not the sense of the values.

    Raises:
        KeyError: If a field without default is missing.
    """
    return cast(T, _build(cls, data))


def _build(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = {}
        for f in dataclasses.fields(kind):
            if f.name in data:
                given[f.name] = _build(hints[f.name], data[f.name])
            elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                raise KeyError(f"{getattr(kind, '__name__', kind)}.{f.name}")
        return cast(Any, kind)(**given)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        return _build(_member(args, data), data)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_build(args[0], x) for x in data)
        return tuple(_build(a, x) for a, x in zip(args, data, strict=True))
    if origin is dict:
        return {k: _build(args[1], v) for k, v in data.items()}
    if kind is float and data is None:
        return math.nan  # a non-finite number was saved as null
    return data


def _member(args: tuple[Any, ...], data: Any) -> Any:
    """Return the member of a union that fits: for dataclasses the one whose fields are all there."""
    members = [a for a in args if a is not type(None)]
    if isinstance(data, dict):
        for a in members:
            if dataclasses.is_dataclass(a):
                required = {f.name for f in dataclasses.fields(a) if f.default is dataclasses.MISSING}
                if required <= data.keys():
                    return a
    return members[0]
