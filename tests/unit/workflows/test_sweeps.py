from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lorabench.models.rows import RowLogits, TokenRow
from lorabench.workflows import sweep_worker, sweeps

token_rows = st.lists(
    st.builds(
        TokenRow,
        ids=st.lists(st.integers(0, 50), min_size=1, max_size=40).map(tuple),
        labels=st.lists(st.lists(st.integers(0, 9), min_size=1).map(tuple), max_size=3).map(tuple),
        tail=st.integers(0, 3),
        adapter_id=st.sampled_from([None, "a" * 64, "b" * 64]),
    ),
    max_size=60,
)


@given(token_rows, st.integers(1, 9))
def test_shards_are_the_rows_in_their_order_each_once(rows, at_least):
    shards = sweeps.cut(rows, at_least=at_least)
    assert [row for shard in shards for row in shard] == rows
    assert all(shards)


@given(st.integers(20, 200), st.integers(1, 8))
def test_there_are_enough_shards_for_all_workers_and_none_is_too_large(n_rows, at_least):
    rows = [TokenRow(ids=tuple(range(100))) for _ in range(n_rows)]
    shards = sweeps.cut(rows, at_least=at_least)
    assert len(shards) >= at_least
    assert all(sum(len(row.ids) for row in shard) <= sweeps.SHARD_TOKENS for shard in shards)


@given(token_rows)
def test_a_row_survives_the_way_to_a_worker(rows):
    sent = json.loads(json.dumps([sweep_worker.row_to_json(row) for row in rows]))
    assert [sweep_worker.row_from_json(data) for data in sent] == rows
    answer = RowLogits(label_logits=(0.1, -3.25), logsumexp=7.5)
    assert sweep_worker.answer_from_json(json.loads(json.dumps([[0.1, -3.25], 7.5, None]))) == answer
