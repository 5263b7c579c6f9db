"""The token trie: which tokens of many questions are really different.

Questions are whole token sequences; those of one adapter that begin alike share a beginning,
and the keys and values of a shared beginning are computed once. The trie is a radix tree over
token ids, one per adapter (keys and values belong to an adapter). It is cut where sharing does
not pay: every node costs about as much as a few tokens. No torch here: a plan is data.

Order: nodes come parents first, and otherwise in the order of the rows, so that the answers
arrive in the order in which they were asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from lorabench.models.rows import TokenRow

MIN_GAIN = 8
"""Fewest saved tokens for which a shared beginning becomes a node (measured: a node costs 2-4)."""

MAX_PIECE = 512
"""Longest node in tokens; longer ones are cut into chains, so that work stops soon when asked to."""


@dataclass(slots=True, eq=False)
class Node:
    """A run of tokens with one history.

    Attributes:
        ids: Its tokens; not empty.
        start: Position of the first one in the question.
        parent: Index of the node before it, or -1 (the beginning, or a known prefix).
        adapter_id: Whose keys and values it makes; None is the base.
        reads: (offset in `ids`, row) for every position whose logits a row wants.
        n_children: Nodes that continue it.
        under: Rows that end in it or below it.
    """

    ids: tuple[int, ...]
    start: int
    parent: int
    adapter_id: str | None
    reads: list[tuple[int, int]] = field(default_factory=list)
    n_children: int = 0
    under: Sequence[int] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A beginning whose keys and values are at hand.

    Attributes:
        length: Its tokens.
        branch: What the model keeps of it.
    """

    length: int
    branch: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What will be computed for some rows.

    Attributes:
        rows: The rows.
        nodes: All nodes, parents first.
        known: The beginning that is known already, by adapter.
        n_unique: Tokens that go through the model.
        n_naive: Tokens of all rows, each whole.
    """

    rows: tuple[TokenRow, ...]
    nodes: tuple[Node, ...]
    known: Mapping[str | None, Known]
    n_unique: int
    n_naive: int


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many leading ids two sequences share."""
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n


def first_read(row: TokenRow) -> int:
    """Return the first position whose logits a row wants: the last one, or the one before its tail."""
    return len(row.ids) - row.tail - 1


def plan_rows(rows: Sequence[TokenRow], known: Mapping[str | None, Known] | None = None) -> Plan:
    """Build the trie of every adapter.

    Args:
        rows: Whole questions; equal ones share everything.
        known: Per adapter a beginning of all its rows that ends before any position they read.
    """
    nodes: list[Node] = []
    known = dict(known or {})
    by_adapter: dict[str | None, list[int]] = {}
    for i, row in enumerate(rows):
        by_adapter.setdefault(row.adapter_id, []).append(i)
    for adapter_id, members in by_adapter.items():
        _Builder(rows, adapter_id, nodes).build(
            members, known[adapter_id].length if adapter_id in known else 0
        )
    return Plan(
        rows=tuple(rows),
        nodes=tuple(nodes),
        known=known,
        n_unique=sum(len(n.ids) for n in nodes),
        n_naive=sum(len(r.ids) for r in rows),
    )


@dataclass(slots=True)
class _Part:
    """Rows (sorted positions lo..hi) that are alike up to `alike`, to be continued from `start`."""

    lo: int
    hi: int
    start: int
    alike: int
    parent: int
    first: int
    length: int


class _Builder:
    """Makes the nodes of one adapter, depth first, without recursion."""

    def __init__(self, rows: Sequence[TokenRow], adapter_id: str | None, nodes: list[Node]) -> None:
        self._rows = rows
        self._adapter_id = adapter_id
        self._nodes = nodes
        self._order: list[int] = []

    def build(self, members: Sequence[int], start: int) -> None:
        """Add the nodes of these rows, from position `start` on."""
        self._order = sorted(members, key=lambda i: self._rows[i].ids)
        stack = [_Part(0, len(members), start, start, -1, 0, 0)]
        while stack:
            part = stack.pop()
            shared = self._shared(part)
            parts = list(self._split(part, shared))
            gain = (shared - part.start) * (len(parts) - 1)
            if len(parts) == 1 and parts[0].length == shared:  # equal rows, or one: a leaf
                self._add(part, shared, n_children=0)
                continue
            if gain >= MIN_GAIN and shared > part.start:
                parent = self._add(part, shared, n_children=len(parts))
                start_of_parts = shared
            else:  # sharing would not pay: every part brings these tokens along
                parent, start_of_parts = part.parent, part.start
                if parent >= 0:
                    self._nodes[parent].n_children += len(parts) - 1
            for p in parts:
                p.start, p.parent = start_of_parts, parent
            # The last one pushed comes out first. Short ends stand together, equal lengths side by side.
            stack += sorted(parts, key=lambda p: (p.length < 0, -p.length, p.first), reverse=True)

    def _row(self, at: int) -> TokenRow:
        return self._rows[self._order[at]]

    def _shared(self, part: _Part) -> int:
        """Return up to where all rows of a part are alike: its extremes are alike exactly that far."""
        low, high = self._row(part.lo).ids, self._row(part.hi - 1).ids
        return part.alike + common_length(low[part.alike :], high[part.alike :])

    def _split(self, part: _Part, shared: int) -> Iterator[_Part]:
        """Yield the rows that end at `shared`, if any, then those with each next token."""

        def branch(at: int) -> int:
            ids = self._row(at).ids
            return ids[shared] if len(ids) > shared else -1

        for token, group in groupby(range(part.lo, part.hi), key=branch):
            held = list(group)
            lo, hi = held[0], held[-1] + 1
            alone = self._row(lo).ids == self._row(hi - 1).ids
            yield _Part(
                lo=lo,
                hi=hi,
                start=0,
                alike=shared + (token >= 0),
                parent=-1,
                first=min(self._order[lo:hi]),
                length=len(self._row(lo).ids) if alone else -1,
            )

    def _add(self, part: _Part, end: int, *, n_children: int) -> int:
        """Add the node of a part, in pieces if it is long; return the index of its last piece."""
        ids = self._row(part.lo).ids
        under = [self._order[k] for k in range(part.lo, part.hi)]
        parent = part.parent
        if end == part.start:  # rows that end where their parent ends: it reads for them
            self._nodes[parent].n_children -= 1
            return parent
        for start in range(part.start, end, MAX_PIECE):
            stop = min(start + MAX_PIECE, end)
            node = Node(ids[start:stop], start, parent, self._adapter_id, under=under)
            node.n_children = n_children if stop == end else 1
            for i in under:
                row = self._rows[i]
                first, last = first_read(row), len(row.ids) - 1 - (row.tail > 0)
                node.reads += [(p - start, i) for p in range(max(first, start), min(last + 1, stop))]
            self._nodes.append(node)
            parent = len(self._nodes) - 1
        return parent


class Cursor:
    """Takes the nodes of a plan in portions, each a set whose parents are in it or were taken before."""

    def __init__(self, plan: Plan, is_known: Callable[[int], bool]) -> None:
        """Begin.

        Args:
            plan: The plan.
            is_known: Whether a row's answer is there already, by whatever way; asked late, so
                that rows which another request has computed meanwhile are left out.
        """
        self._plan = plan
        self._is_known = is_known
        self._queues: deque[deque[int]] = deque(
            deque(group)
            for _, group in groupby(range(len(plan.nodes)), key=lambda i: plan.nodes[i].adapter_id)
        )
        self.dropped: list[int] = []

    def take(self, budget: int) -> list[int]:
        """Return the next nodes, at least one and about `budget` tokens at most; [] at the end.

        While much is left, a portion belongs to one adapter, and adapters take turns; the
        rest, and small requests, go through the model together.
        """
        if self._left(2 * budget) <= budget:
            taken = [i for queue in self._queues for i in queue if self._is_wanted(i)]
            self._queues.clear()
            return taken
        while self._queues:
            queue = self._queues.popleft()
            taken = self._from(queue, budget)
            if queue:
                self._queues.append(queue)
            if taken:
                return taken
        return []

    def _left(self, enough: int) -> int:
        total = 0
        for queue in self._queues:
            for i in queue:
                total += len(self._plan.nodes[i].ids)
                if total > enough:
                    return total
        return total

    def _from(self, queue: deque[int], budget: int) -> list[int]:
        taken: list[int] = []
        n_tokens = 0
        while queue:
            n = len(self._plan.nodes[queue[0]].ids)
            if taken and n_tokens + n > budget:
                break
            node = queue.popleft()
            if self._is_wanted(node):
                taken.append(node)
                n_tokens += n
        return taken

    def _is_wanted(self, node: int) -> bool:
        if any(not self._is_known(i) for i in self._plan.nodes[node].under):
            return True
        self.dropped.append(node)  # its parent waits for one child less
        return False
