"""The adapter bank: several LoRA adapters beside one base, chosen row by row, none ever "active".

Every adapted linear layer is replaced by one that shares its weight and knows the adapters'
factors. Which adapter acts on which tokens is said for the length of one forward pass
(`Bank.routed`) and forgotten after it, whatever happens. Rows of one adapter lie together, so
each adapter costs two small products over its own rows, and base rows cost nothing.

For many rows of one adapter the layers can also hold merged weights, W + scale B A, in fp32
and beside W, never in its place: as fast as the base alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lorabench.adapters import CheckedAdapter

Slice = tuple[int, int, str]
"""From token, to token (rows one behind the other), adapter id."""


@dataclass(slots=True)
class _Route:
    """What acts now: slices of tokens, or one adapter on everything.

    A head runs over the few positions that are read: `head_slices` are the slices of those.
    """

    slices: Sequence[Slice] = ()
    n_tokens: int = 0
    head_slices: Sequence[Slice] = ()
    everywhere: str | None = None
    merged: str | None = None


class BankLinear(nn.Linear):
    """A linear layer of the base that also knows adapters; without a route it is the base's own.

    Attributes:
        factors: adapter id -> (A transposed (in, r), scaled B transposed (r, out)).
        merged: adapter id -> merged weight (out, in).
    """

    def __init__(self, base: nn.Linear, route: _Route) -> None:
        """Take the place of a linear layer, sharing its parameters."""
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.route = route
        self.factors: dict[str, tuple[Tensor, Tensor]] = {}
        self.merged: dict[str, Tensor] = {}

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output under the present route."""
        route = self.route
        if route.merged is not None:
            return linear(input, self.merged.get(route.merged, self.weight), self.bias)
        out = linear(input, self.weight, self.bias)
        if route.everywhere is not None:
            if (pair := self.factors.get(route.everywhere)) is not None:
                out = out + (input @ pair[0]) @ pair[1]
            return out
        if route.slices:
            flat_in, flat = input.reshape(-1, self.in_features), out.view(-1, self.out_features)
            slices = route.slices if len(flat) == route.n_tokens else route.head_slices
            for start, end, adapter_id in slices:
                if (pair := self.factors.get(adapter_id)) is not None:
                    flat[start:end].addmm_(flat_in[start:end] @ pair[0], pair[1])
        return out


class Bank:
    """The adapters of one loaded model.

    Attributes:
        ids: The adapters it holds.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._route = _Route()
        self._layers: dict[str, BankLinear] = {}
        self.ids: set[str] = set()

    def add(self, adapter: CheckedAdapter) -> None:
        """Take in an adapter whose modules fit the model.

        The scale is folded into B in fp32, then both take the layer's number type.
        """
        adapter_id = adapter.facts.adapter_id
        try:
            for module in adapter.modules:
                layer = self._layer(module.name)
                a = torch.from_numpy(module.a.copy()).float().T.contiguous()
                b = (torch.from_numpy(module.b.copy()).float() * module.scale).T.contiguous()
                layer.factors[adapter_id] = (a.to(layer.weight), b.to(layer.weight))
        except BaseException:
            self.remove(adapter_id)
            raise
        self.ids.add(adapter_id)

    def remove(self, adapter_id: str) -> None:
        """Forget an adapter; unknown ids are ignored."""
        self.ids.discard(adapter_id)
        for layer in self._layers.values():
            layer.factors.pop(adapter_id, None)
            layer.merged.pop(adapter_id, None)

    @torch.no_grad()
    def merge(self, adapter_id: str) -> None:
        """Make merged weights for an adapter; the base's own stay as they are."""
        for layer in self._layers.values():
            if (pair := layer.factors.get(adapter_id)) is not None and adapter_id not in layer.merged:
                layer.merged[adapter_id] = torch.addmm(layer.weight, pair[1].T, pair[0].T)

    def unmerge(self, adapter_id: str) -> None:
        """Drop an adapter's merged weights."""
        for layer in self._layers.values():
            layer.merged.pop(adapter_id, None)

    @property
    def merged(self) -> list[str]:
        """The adapters that have merged weights, the oldest first."""
        return list(dict.fromkeys(i for layer in self._layers.values() for i in layer.merged))

    def merged_bytes(self, adapter_id: str) -> int:
        """Return how much memory an adapter's merged weights take, or would take."""
        layers = [layer for layer in self._layers.values() if adapter_id in layer.factors]
        return sum(layer.weight.numel() * layer.weight.element_size() for layer in layers)

    def n_parameters(self, adapter_id: str) -> int:
        """Return how many numbers an adapter's factors have."""
        pairs = [layer.factors[adapter_id] for layer in self._layers.values() if adapter_id in layer.factors]
        return sum(a.numel() + b.numel() for a, b in pairs)

    @contextmanager
    def acting(self, adapter_id: str | None, *, merged: bool = False) -> Iterator[None]:
        """Let one adapter, or none, act on everything for the length of a `with` block."""
        route = self._route
        before = route.slices, route.everywhere, route.merged
        try:
            route.slices = ()
            route.everywhere, route.merged = (None, adapter_id) if merged else (adapter_id, None)
            yield
        finally:
            route.slices, route.everywhere, route.merged = before

    @contextmanager
    def routed(
        self, slices: Sequence[Slice], n_tokens: int, head: Sequence[int], merged: frozenset[str]
    ) -> Iterator[None]:
        """Let adapters act on their slices of a packed sequence for the length of a `with` block.

        Args:
            slices: Who acts where; tokens in no slice are the base's.
            n_tokens: Length of the sequence.
            head: Positions at which the head runs, ascending.
            merged: Adapters that may use merged weights, where all tokens are theirs.
        """
        if len(slices) == 1 and slices[0][:2] == (0, n_tokens):
            with self.acting(slices[0][2], merged=slices[0][2] in merged):
                yield
            return
        route = self._route
        before = route.slices, route.n_tokens, route.head_slices
        try:
            route.slices, route.n_tokens = tuple(slices), n_tokens
            route.head_slices = [(bisect_left(head, s), bisect_left(head, e), i) for s, e, i in slices]
            yield
        finally:
            route.slices, route.n_tokens, route.head_slices = before

    def _layer(self, name: str) -> BankLinear:
        """Return the bank's layer in the place of a linear layer of the model."""
        if name not in self._layers:
            owner_name, _, own_name = name.rpartition(".")
            owner = self._model.get_submodule(owner_name)
            layer = BankLinear(getattr(owner, own_name), self._route)
            layer.eval()
            setattr(owner, own_name, layer)
            self._layers[name] = layer
        return self._layers[name]
