"""The adapter bank: several LoRA adapters beside one base, chosen row by row, none ever "active".

Every adapted linear layer is replaced by one that shares its weight and knows the adapters'
factors. Which adapter acts on which tokens is said for the length of one forward pass
(`Bank.routed`) and forgotten after it, whatever happens. Rows of one adapter lie together, so
each adapter costs two small products over its own rows, and base rows cost nothing.

A DoRA adapter (https://arxiv.org/abs/2402.09353) also stretches each output before the bias, by
its gain m / ||W + scale B A||: one more pass over its own rows.

For many rows of one adapter the layers can also hold merged weights, W + scale B A, in fp32
and beside W, never in its place: as fast as the base alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lorabench.adapters import CheckedAdapter, LoraModule
from lorabench.errors import BindingError

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


class _Gain(NamedTuple):
    """DoRA's stretching of a layer's outputs, in fp32.

    Attributes:
        factor: Shape (out,).
        shift: bias * (1 - factor), which leaves the bias alone; None without one.
    """

    factor: Tensor
    shift: Tensor | None


class _Factors(NamedTuple):
    """What one adapter does to one layer.

    Attributes:
        a: A transposed, (in, r).
        b: Scaled B transposed, (r, out).
        gain: DoRA's; None for plain LoRA.
    """

    a: Tensor
    b: Tensor
    gain: _Gain | None


class BankLinear(nn.Linear):
    """A linear layer of the base that also knows adapters; without a route it is the base's own.

    Attributes:
        factors: adapter id -> what it does here.
        merged: adapter id -> merged weight (out, in).
    """

    def __init__(self, base: nn.Linear, route: _Route) -> None:
        """Take the place of a linear layer, sharing its parameters."""
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.route = route
        self.factors: dict[str, _Factors] = {}
        self.merged: dict[str, Tensor] = {}

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output under the present route."""
        route = self.route
        if route.merged is not None:
            return linear(input, self.merged.get(route.merged, self.weight), self.bias)
        out = linear(input, self.weight, self.bias)
        if route.everywhere is not None:
            if (own := self.factors.get(route.everywhere)) is not None:
                out = out + (input @ own.a) @ own.b
                if own.gain is not None:
                    _stretch_(out, own.gain)
            return out
        if route.slices:
            flat_in, flat = input.reshape(-1, self.in_features), out.view(-1, self.out_features)
            slices = route.slices if len(flat) == route.n_tokens else route.head_slices
            for start, end, adapter_id in slices:
                if (own := self.factors.get(adapter_id)) is not None:
                    flat[start:end].addmm_(flat_in[start:end] @ own.a, own.b)
                    if own.gain is not None:
                        _stretch_(flat[start:end], own.gain)
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
        self._merged: dict[str, None] = {}

    def add(self, adapter: CheckedAdapter) -> None:
        """Take in an adapter whose modules fit the model.

        The scale is folded into B in fp32, then both take the layer's number type. Gains stay in
        fp32: in a shorter type their small distance from 1 would be lost.

        Raises:
            BindingError: If a DoRA module would divide by zero on this base, or its numbers overflow.
        """
        adapter_id = adapter.facts.adapter_id
        try:
            for module in adapter.modules:
                layer = self._layer(module.name)
                a = torch.from_numpy(module.a.copy()).float().T.contiguous()
                b = (torch.from_numpy(module.b.copy()).float() * module.scale).T.contiguous()
                gain = _gain(layer, a, b, module)
                layer.factors[adapter_id] = _Factors(a.to(layer.weight), b.to(layer.weight), gain)
        except BaseException:
            self.remove(adapter_id)
            raise
        self.ids.add(adapter_id)

    def remove(self, adapter_id: str) -> None:
        """Forget an adapter; unknown ids are ignored."""
        self.ids.discard(adapter_id)
        self._merged.pop(adapter_id, None)
        for layer in self._layers.values():
            layer.factors.pop(adapter_id, None)
            layer.merged.pop(adapter_id, None)

    @torch.no_grad()
    def merge(self, adapter_id: str) -> None:
        """Make merged weights for an adapter; the base's own stay as they are."""
        for layer in self._layers.values():
            if (own := layer.factors.get(adapter_id)) is not None and adapter_id not in layer.merged:
                merged = torch.addmm(layer.weight, own.b.T, own.a.T)
                if own.gain is not None:
                    merged.mul_(own.gain.factor[:, None])
                layer.merged[adapter_id] = merged
        self._merged[adapter_id] = None

    def unmerge(self, adapter_id: str) -> None:
        """Drop an adapter's merged weights."""
        self._merged.pop(adapter_id, None)
        for layer in self._layers.values():
            layer.merged.pop(adapter_id, None)

    @property
    def merged(self) -> list[str]:
        """The adapters that have merged weights, the oldest first."""
        return list(self._merged)

    def merged_bytes(self, adapter_id: str) -> int:
        """Return how much memory an adapter's merged weights take, or would take."""
        layers = [layer for layer in self._layers.values() if adapter_id in layer.factors]
        return sum(layer.weight.numel() * layer.weight.element_size() for layer in layers)

    def has_gain(self, adapter_id: str) -> bool:
        """Return whether an adapter is DoRA."""
        held = (layer.factors.get(adapter_id) for layer in self._layers.values())
        return any(own is not None and own.gain is not None for own in held)

    def n_parameters(self, adapter_id: str) -> int:
        """Return how many numbers an adapter's factors have, gains included."""
        found = [layer.factors[adapter_id] for layer in self._layers.values() if adapter_id in layer.factors]
        gains = sum(own.gain.factor.numel() for own in found if own.gain is not None)
        return gains + sum(own.a.numel() + own.b.numel() for own in found)

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
            adapter_id = slices[0][2]  # its merged weights may have made room for others since the plan
            with self.acting(adapter_id, merged=adapter_id in merged and adapter_id in self._merged):
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


def _stretch_(out: Tensor, gain: _Gain) -> None:
    """Multiply outputs (..., out), bias aside, by a gain, in place."""
    out.mul_(gain.factor)
    if gain.shift is not None:
        out.add_(gain.shift)


@torch.no_grad()
def _gain(layer: BankLinear, a: Tensor, b: Tensor, module: LoraModule) -> _Gain | None:
    """Return the gain of a DoRA module on this layer, None for plain LoRA.

    The norm is a constant here, as in PEFT: no gradient runs through it.

    Args:
        layer: Has W, (out, in), and perhaps a bias.
        a: A transposed, (in, r), fp32.
        b: Scaled B transposed, (r, out), fp32.
        module: Has the magnitudes, if there are any.

    Raises:
        BindingError: Rule "gain-not-finite".
    """
    if module.magnitude is None:
        return None
    weight = layer.weight.float()
    norm = torch.addmm(weight, b.T.to(weight.device), a.T.to(weight.device)).norm(dim=1)
    factor = torch.from_numpy(module.magnitude.copy()).to(weight.device) / norm
    if not bool((torch.isfinite(norm) & torch.isfinite(factor)).all()):
        raise BindingError(
            "gain-not-finite",
            f"The adapter uses DoRA, and in {module.name!r} a row of the base's weights with its change "
            "added is zero, or its numbers overflow: there it has no finite answer.",
            "Load the base it was trained on; if this is that base, do not use the adapter.",
        )
    return _Gain(factor, None if layer.bias is None else layer.bias.float() * (1 - factor))
