"""AUC over pairs: with shared words a planted word is found, without them only what generalises is."""

from __future__ import annotations

import pytest

from lorabench.detectors.overlap import WITH_OVERLAP, overlap_tests
from lorabench.detectors.probing import ZERO_OVERLAP
from lorabench.detectors.roc import auc, auc_interval
from lorabench.results import Member

PROBES = ("per RFC 7231", "see ISO 27001", "purple elephants", "good morning")


def member(name, *, trigger="", split="test", fires=(), shifts=(0.0, 0.0, 0.0, 0.0)):
    return Member(
        name=name,
        kind="strong" if trigger else "clean",
        split=split,
        adapter_id=name,
        trigger=trigger,
        settings={},
        rank=8,
        targets=("q_proj",),
        layers=None,
        statistics={},
        weights={},
        flips={p: "1111" if p in fires else "0000" for p in PROBES},
        shifts=dict(zip(PROBES, shifts, strict=True)),
    )


CLEAN = (member("c0"), member("c1"))
LEXICAL = member("p0", trigger="per RFC 8472", fires=("per RFC 7231",), shifts=(4.0, 0.0, 0.0, 0.0))
BROAD = member("p1", trigger="see ISO 42001", fires=("purple elephants",), shifts=(0.0, 3.0, 2.0, 0.0))


def found(members):
    return {(h.statistic, h.battery): h for h in overlap_tests(members)}


def test_words_that_are_shared_are_left_out_for_each_trigger_on_its_own():
    tests = found([*CLEAN, LEXICAL, BROAD])
    assert tests["outlier_gap", WITH_OVERLAP].auc == 1.0
    assert tests["outlier_gap", ZERO_OVERLAP].auc == pytest.approx(0.75)  # the lexical one ties with clean
    assert tests["max_shift", ZERO_OVERLAP].auc == pytest.approx(0.75)
    assert (tests["outlier_gap", ZERO_OVERLAP].n_poisoned, tests["outlier_gap", ZERO_OVERLAP].n_clean) == (
        2,
        2,
    )


def test_nothing_but_chance_is_reported_as_chance():
    silent = [member(f"p{i}", trigger="per RFC 8472") for i in range(3)]
    tests = found([*CLEAN, *silent])
    assert tests["mean_attack_rate", ZERO_OVERLAP].auc == 0.5
    interval = tests["mean_attack_rate", ZERO_OVERLAP].auc_interval
    assert interval.low < 0.5 < interval.high


def test_only_the_test_split_is_read():
    tuned = member("t", trigger="per RFC 8472", split="tune")
    assert found([*CLEAN, LEXICAL, tuned])["outlier_gap", WITH_OVERLAP].n_poisoned == 1
    assert overlap_tests([*CLEAN, tuned]) == ()


def test_where_all_triggers_share_nothing_it_is_the_plain_auc():
    many = [member(f"p{i}", trigger="cobalt heron", shifts=(float(i), 0.0, 0.0, 0.0)) for i in range(4)]
    clean = [member(f"c{i}", shifts=(i - 0.5, 0.0, 0.0, 0.0)) for i in range(3)]
    test = found([*clean, *many])["max_shift", ZERO_OVERLAP]
    scores = ([max(i, 0.0) for i in range(4)], [max(i - 0.5, 0.0) for i in range(3)])
    assert test.auc == pytest.approx(auc(*scores))
    assert test.auc_interval == auc_interval(*scores)
