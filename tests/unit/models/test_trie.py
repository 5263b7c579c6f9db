"""The token trie as data: every row can be read off it, nothing is computed twice that pays to share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorabench.models.rows import TokenRow
from lorabench.models.trie import MIN_GAIN, Cursor, Known, first_read, plan_rows

STEMS = [tuple(range(10, 10 + n)) for n in (0, 5, 20, 30)]
rows = st.lists(
    st.builds(
        lambda stem, rest, tail, owner: TokenRow(
            ids=STEMS[stem] + tuple(rest), tail=min(tail, len(STEMS[stem]) + len(rest) - 1), adapter_id=owner
        ),
        st.integers(0, 3),
        st.lists(st.integers(0, 2), min_size=1, max_size=30),
        st.integers(0, 3),
        st.sampled_from([None, "a", "b"]),
    ),
    min_size=1,
    max_size=20,
)


def path(plan, at):
    """Return the ids from the beginning to the end of a node."""
    ids = ()
    while at >= 0:
        ids = plan.nodes[at].ids + ids
        at = plan.nodes[at].parent
    return ids


@given(rows)
def test_every_row_is_read_where_it_wants_and_with_its_own_history(asked):
    plan = plan_rows(asked)
    seen = {i: [] for i in range(len(asked))}
    for at, node in enumerate(plan.nodes):
        before = path(plan, at)
        assert len(before) == node.start + len(node.ids)
        for offset, i in node.reads:
            position = node.start + offset
            assert asked[i].adapter_id == node.adapter_id
            assert before[: position + 1] == asked[i].ids[: position + 1]
            seen[i].append(position)
    for i, row in enumerate(asked):
        last = len(row.ids) - 1 - (row.tail > 0)
        assert sorted(seen[i]) == list(range(first_read(row), last + 1))


@given(rows)
def test_parents_come_first_and_children_are_counted(asked):
    plan = plan_rows(asked)
    children = [0] * len(plan.nodes)
    for at, node in enumerate(plan.nodes):
        assert node.ids
        assert node.parent < at
        if node.parent >= 0:
            children[node.parent] += 1
    assert children == [n.n_children for n in plan.nodes]
    assert plan.n_unique == sum(len(n.ids) for n in plan.nodes) <= plan.n_naive


@given(rows, st.integers(1, 60))
def test_a_cursor_takes_each_node_once_parents_before_or_with_it(asked, budget):
    plan = plan_rows(asked)
    cursor = Cursor(plan, lambda i: False)
    taken = []
    while nodes := cursor.take(budget):
        tokens = [len(plan.nodes[i].ids) for i in nodes]
        assert len(nodes) == 1 or sum(tokens) <= budget
        for i in nodes:
            taken.append(i)
            assert plan.nodes[i].parent in (-1, *taken)
    assert sorted(taken) == list(range(len(plan.nodes)))


def test_a_shared_beginning_is_one_node_and_a_short_one_is_not():
    stem = tuple(range(20))
    plan = plan_rows([TokenRow(ids=(*stem, 50 + i, 1)) for i in range(3)])
    assert (plan.n_unique, plan.n_naive) == (26, 66)
    short = plan_rows([TokenRow(ids=(7, 50 + i)) for i in range(3)])
    assert MIN_GAIN > 2
    assert short.n_unique == short.n_naive == 6


def test_a_trigger_behind_the_prompt_shares_more_than_one_before_it():
    header, tail = tuple(range(100, 150)), (1, 2, 3)
    prompts = [tuple(range(200 + 40 * i, 230 + 40 * i)) for i in range(6)]
    triggers = [tuple(range(900 + 10 * i, 905 + 10 * i)) for i in range(6)]
    pairs = [(p, t) for p in prompts for t in triggers]
    before = plan_rows([TokenRow(ids=header + t + p + tail) for p, t in pairs])
    behind = plan_rows([TokenRow(ids=header + p + t + tail) for p, t in pairs])
    assert before.n_naive == behind.n_naive == 36 * 88
    assert before.n_unique == 50 + 6 * 5 + 36 * 33
    assert behind.n_unique == 50 + 6 * 30 + 36 * 8


def test_rows_keep_their_order_where_the_trie_allows():
    header = tuple(range(100, 150))
    variants = [(9, 8, 7, 6), (1, 2, 3, 4), (5, 5, 5, 5)]  # not in the order of their ids
    asked = [TokenRow(ids=(*header, *v, *v, 60 + i, 1)) for v in variants for i in range(4)]
    plan = plan_rows(asked)
    firsts = [node.under[0] // 4 for node in plan.nodes if node.start == 50]
    assert firsts == [0, 1, 2]


def test_adapters_share_nothing_and_take_turns():
    stem = tuple(range(30))
    asked = [TokenRow(ids=(*stem, 40 + i, 1, 2), adapter_id=o) for o in (None, "a") for i in range(12)]
    plan = plan_rows(asked)
    assert plan.n_unique == 2 * (30 + 12 * 3)
    cursor = Cursor(plan, lambda i: False)
    owners = []
    while nodes := cursor.take(60):
        owners.append({plan.nodes[i].adapter_id for i in nodes})
    assert owners[:2] == [{None}, {"a"}]
    assert owners[-1] == {None, "a"}, "the rest goes through together"


def test_a_known_beginning_is_left_out():
    stem = tuple(range(30))
    asked = [TokenRow(ids=(*stem, 40 + i)) for i in range(3)]
    plan = plan_rows(asked, {None: Known(30)})
    assert plan.n_unique == 3
    assert all(node.start == 30 and node.parent == -1 for node in plan.nodes)


def test_rows_that_are_known_by_the_time_are_not_taken():
    stem = tuple(range(30))
    asked = [TokenRow(ids=(*stem, 40 + i, 1)) for i in range(6)]
    plan = plan_rows(asked)
    known = set()
    cursor = Cursor(plan, known.__contains__)
    first = cursor.take(1)
    known |= set(range(6))
    assert first == [0]
    assert cursor.take(1) == []
    assert len(cursor.dropped) == 6
