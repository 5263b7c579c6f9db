"""Forward passes over the nodes of a token trie: packed, unpadded, each token once.

The nodes of a portion lie one behind the other in a single sequence, so the linear layers see
no padding (attention: `lorabench.models.tree_attention`). Positions are passed explicitly. What
a node's children still need is kept per layer; everything else is dropped at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from lorabench.models.bank import Bank
from lorabench.models.rows import RowLogits, TokenRow
from lorabench.models.tree_attention import Branch, Family, Layout, Span, family, register, trie_attention
from lorabench.models.trie import Cursor, Known, Plan, first_read, plan_rows


class KnownPrefixes:
    """The last few shared beginnings, by adapter: requests come in turns that share them."""

    def __init__(self, size: int = 8) -> None:
        self._size = size
        self._entries: dict[tuple[str | None, tuple[int, ...]], Branch] = {}

    def find(self, rows: Sequence[TokenRow]) -> dict[str | None, Known]:
        """Return per adapter the longest known beginning of all its rows that no row reads in."""
        by_adapter: dict[str | None, list[TokenRow]] = {}
        for row in rows:
            by_adapter.setdefault(row.adapter_id, []).append(row)
        found = {}
        for adapter_id, members in by_adapter.items():
            low, high = min(r.ids for r in members), max(r.ids for r in members)
            room = min(map(first_read, members))
            fits = [
                ids
                for owner, ids in self._entries
                if owner == adapter_id and len(ids) <= room and low[: len(ids)] == ids == high[: len(ids)]
            ]
            if fits:
                ids = max(fits, key=len)
                self._entries[adapter_id, ids] = branch = self._entries.pop((adapter_id, ids))
                found[adapter_id] = Known(len(ids), branch)
        return found

    def put(self, adapter_id: str | None, ids: tuple[int, ...], branch: Branch) -> None:
        """Remember a beginning; the one unused for longest goes when there are too many."""
        self._entries[adapter_id, ids] = branch
        while len(self._entries) > self._size:
            self._entries.pop(next(iter(self._entries)))

    def forget(self, adapter_id: str | None) -> None:
        """Drop an adapter's."""
        self._entries = {k: b for k, b in self._entries.items() if k[0] != adapter_id}


class TrieRun:
    """Runs one plan, portion by portion; holds the keys and values that are still needed."""

    def __init__(
        self,
        model: Any,
        bank: Bank,
        plan: Plan,
        is_known: Callable[[int], bool],
        *,
        prefixes: KnownPrefixes,
        device: torch.device,
        merged: frozenset[str] = frozenset(),
    ) -> None:
        """Begin.

        Args:
            model: A causal language model of transformers whose linear layers the bank serves.
            bank: The adapters.
            plan: What to run.
            is_known: Whether a row's answer is there already; see `Cursor`.
            prefixes: Where shared beginnings are remembered for later requests.
            device: Where the model is.
            merged: Adapters whose merged weights may be used for portions that are theirs alone.
        """
        self._model = model
        self._bank = bank
        self._plan = plan
        self._prefixes = prefixes
        self._device = device
        self._merged = merged
        self._cursor = Cursor(plan, is_known)
        self._kept: dict[int, Branch] = {}
        self._waiting = [node.n_children for node in plan.nodes]
        self._logprobs: dict[int, list[float]] = {}
        self._beginnings = _beginnings(plan)
        self._dtype = next(model.parameters()).dtype

    def take(self, budget: int) -> list[int]:
        """Return the next portion of nodes."""
        return self._cursor.take(budget)

    def n_tokens(self, nodes: Sequence[int]) -> int:
        """Return how many tokens a portion has."""
        return sum(len(self._plan.nodes[i].ids) for i in nodes)

    def run(self, nodes: Sequence[int]) -> list[tuple[int, RowLogits]]:
        """Run a portion and return the rows that it finishes."""
        plan = self._plan.nodes
        layout = self._layout(nodes)
        ids = [t for i in nodes for t in plan[i].ids]
        positions = [p for i in nodes for p in range(plan[i].start, plan[i].start + len(plan[i].ids))]
        reads, at = [], 0
        for i in nodes:
            reads += [(at + offset, row) for offset, row in plan[i].reads]
            at += len(plan[i].ids)
        wanted = sorted({p for p, _ in reads}) or [len(ids) - 1]
        routed = self._bank.routed(self._slices(nodes), len(ids), wanted, self._merged)
        with trie_attention(self._model), routed:
            logits = self._model(
                input_ids=sent([ids], self._device),
                position_ids=sent([positions], self._device),
                use_cache=False,
                logits_to_keep=sent(wanted, self._device),
                trie=layout,
            ).logits[0]
        self._settle(nodes, layout)
        return self._read(logits.float(), wanted, reads)

    def _slices(self, nodes: Sequence[int]) -> list[tuple[int, int, str]]:
        """Return which adapter acts on which packed tokens."""
        slices, at = [], 0
        for adapter_id, group in groupby(nodes, key=lambda i: self._plan.nodes[i].adapter_id):
            n = self.n_tokens(list(group))
            if adapter_id is not None:
                slices.append((at, at + n, adapter_id))
            at += n
        return slices

    def _layout(self, nodes: Sequence[int]) -> Layout:
        plan = self._plan.nodes
        inside = dict.fromkeys(nodes, 0)
        for i in nodes:
            if plan[i].parent in inside:
                inside[plan[i].parent] += 1
        keep = frozenset(i for i in nodes if self._waiting[i] > inside[i] or i in self._beginnings)
        kept: dict[Any, Branch] = dict(self._kept)
        for i in keep:
            self._kept[i] = kept[i] = Branch()
        for adapter_id, known in self._plan.known.items():
            kept[_origin(adapter_id)] = known.branch
        spans: list[Span] = []
        families: list[Family] = []
        at = 0
        for (parent, width, _), group in groupby(nodes, key=self._alike):
            held = list(group)
            lengths = [len(plan[i].ids) for i in held]
            if len(held) > 1 and not width:
                families.append(family(at, lengths, parent, self._device))
            else:
                slots = tuple(i if i in keep or inside[i] else None for i in held)
                spans.append(Span(at, len(held), lengths[0], parent, slots))
            at += sum(lengths)
        longest = max(plan[i].start + len(plan[i].ids) for i in nodes)
        # Added, not looked up: a mask of truth values would be turned into this one in every layer.
        causal = torch.full((longest, longest), -torch.inf, dtype=self._dtype, device=self._device).triu_(1)
        return Layout(spans, families, kept, keep, causal)

    def _alike(self, i: int) -> tuple[Any, int, int]:
        """Leaves of one parent are attended together, elsewhere than on a CPU if equally long; others alone.

        The width is 0 where lengths may differ (within a factor of two, so that little is padded).
        """
        node = self._plan.nodes[i]
        parent = _origin(node.adapter_id) if node.parent < 0 else node.parent
        has_ancestors = node.parent >= 0 or node.adapter_id in self._plan.known
        if node.n_children or i in self._beginnings:
            return parent, len(node.ids), i
        if self._device.type == "cpu" and has_ancestors:
            return parent, 0, -len(node.ids).bit_length()
        return parent, len(node.ids), -1

    def _settle(self, nodes: Sequence[int], layout: Layout) -> None:
        """Drop what no node waits for any more; remember shared beginnings."""
        for i in nodes:
            if i in self._beginnings:
                node = self._plan.nodes[i]
                row = self._plan.rows[node.under[0]]
                ids = row.ids[: node.start + len(node.ids)]
                self._prefixes.put(node.adapter_id, ids, self._kept[i])
        for i in (*nodes, *self._cursor.dropped):
            parent = self._plan.nodes[i].parent
            if parent >= 0:
                self._waiting[parent] -= 1
                if self._waiting[parent] <= 0:
                    self._kept.pop(parent, None)
        self._cursor.dropped.clear()
        for i in nodes:
            if self._waiting[i] <= 0:
                self._kept.pop(i, None)

    def _read(
        self, logits: Tensor, wanted: list[int], reads: list[tuple[int, int]]
    ) -> list[tuple[int, RowLogits]]:
        """Turn logits (positions, vocabulary) into the answers that are complete now."""
        if not reads:
            return []
        place = {p: k for k, p in enumerate(wanted)}
        totals = torch.logsumexp(logits, dim=1)
        found: list[tuple[int, RowLogits]] = []
        for labels, group in groupby(
            sorted(reads, key=lambda r: self._plan.rows[r[1]].labels),
            key=lambda r: self._plan.rows[r[1]].labels,
        ):
            held = list(group)
            if labels:
                index = sent([place[p] for p, _ in held], logits.device)
                chosen = logits[index]
                columns = [chosen[:, sent(list(ids), logits.device)].logsumexp(dim=1) for ids in labels]
                answers = torch.stack([*columns, totals[index]], dim=1).tolist()  # waits for the device, once
                found += [
                    (row, RowLogits(label_logits=tuple(values), logsumexp=total))
                    for (_, row), (*values, total) in zip(held, answers, strict=True)
                ]
            else:
                found += self._tails(held, logits, totals, place)
        return found

    def _tails(
        self, held: list[tuple[int, int]], logits: Tensor, totals: Tensor, place: dict[int, int]
    ) -> list[tuple[int, RowLogits]]:
        """Add up log-probabilities of tail tokens; a row's positions may come in several portions."""
        held = sorted(held)  # in the order of positions, so that sums are the same each time
        seen: dict[int, int] = {}
        tokens = []
        for _, row in held:
            wanted, n_before = self._plan.rows[row], len(self._logprobs.get(row, ()))
            tokens.append(wanted.ids[first_read(wanted) + 1 + n_before + seen.get(row, 0)])
            seen[row] = seen.get(row, 0) + 1
        at = sent([place[p] for p, _ in held], logits.device)
        logprobs = (logits[at, sent(tokens, logits.device)] - totals[at]).tolist()
        found = []
        for (_, row), logprob in zip(held, logprobs, strict=True):
            wanted = self._plan.rows[row]
            so_far = self._logprobs.setdefault(row, [])
            so_far.append(logprob)
            if len(so_far) == wanted.tail:
                found.append((row, RowLogits(tail_logprob=sum(self._logprobs.pop(row)))))
        return found


def sent(values: list[Any], device: torch.device) -> Tensor:
    """Return whole numbers as a tensor on a device; a GPU is not waited for."""
    if device.type != "cuda":
        return torch.tensor(values, device=device)
    return torch.tensor(values).pin_memory().to(device, non_blocking=True)


def score_all(
    model: Any, rows: Sequence[TokenRow], budget: int, device: torch.device
) -> Iterator[list[tuple[int, RowLogits]]]:
    """Yield finished rows of a model that needs no bank, such as one in training; see `TrieRun`."""
    register()
    plan = plan_rows(rows)
    run = TrieRun(model, Bank(model), plan, lambda row: False, prefixes=KnownPrefixes(), device=device)
    while nodes := run.take(budget):
        yield run.run(nodes)


def _beginnings(plan: Plan) -> frozenset[int]:
    """Return the nodes worth remembering for later requests: what all rows of an adapter begin with."""
    roots: dict[str | None, list[int]] = {}
    for i, node in enumerate(plan.nodes):
        if node.parent < 0:
            roots.setdefault(node.adapter_id, []).append(i)
    return frozenset(r[0] for r in roots.values() if len(r) == 1 and plan.nodes[r[0]].n_children > 1)


def _origin(adapter_id: str | None) -> Any:
    """Name the known prefix of an adapter among the parents (which are numbers)."""
    return ("known", adapter_id)
