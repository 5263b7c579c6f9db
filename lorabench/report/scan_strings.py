"""Every string of a result, one by one: how texts and paths are taken out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from lorabench.results.findings import Fact

T = TypeVar("T")


def mapped(value: T, change: Callable[[str, str], str], field: str = "") -> T:
    """Return a copy of nested data with every string changed, and every dictionary sorted by key.

    Args:
        value: A result, or anything that one holds.
        change: Gets a string and the name of its field: "fact" for both fields of a `Fact`, "name" for
            a key and "" for a value of a dictionary.
        field: Name of the field that holds `value`.
    """
    return cast(T, _changed(value, change, field))


def _changed(value: Any, change: Callable[[str, str], str], field: str) -> Any:
    if isinstance(value, str):
        return change(value, field)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        fields = dict.fromkeys(names, "fact") if isinstance(value, Fact) else {n: n for n in names}
        new = {name: _changed(getattr(value, name), change, fields[name]) for name in names}
        return dataclasses.replace(value, **new)
    if isinstance(value, Mapping):
        pairs = ((_changed(str(k), change, "name"), _changed(v, change, "")) for k, v in value.items())
        return dict(sorted(pairs, key=lambda pair: pair[0]))
    if isinstance(value, tuple):
        return tuple(_changed(v, change, field) for v in value)
    if isinstance(value, list):
        return [_changed(v, change, field) for v in value]
    return value
