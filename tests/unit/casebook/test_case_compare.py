"""Two scans side by side."""

from __future__ import annotations

import dataclasses

import pytest
from case_samples import OTHER, behaviour, finding, run_at, scan, scans_made
from hypothesis import given, settings

from lorabench.casebook import CaseBook
from lorabench.casebook.compare import compare_scans
from lorabench.casebook.packing import pack
from lorabench.results import to_dict
from lorabench.results.behaviour import Statistic
from lorabench.results.cases import CaseScan, FindingChange


def brief(made, number=1):
    packed = pack(made)
    columns = packed.columns | {"rules": tuple(packed.columns["rules"].split("\n"))}
    return CaseScan(id=number, case="0001", digest=packed.digest, who="Ada", created="2026-11-22", **columns)


def compared(a, b):
    return compare_scans(brief(a, 1), brief(b, 2), a, b)


def test_what_is_gone_new_and_moved_is_told_apart():
    gone = finding("weights-standout", stage="weights", where="layer 3", level="info")
    same = finding("behaviour-alarm", level="review")
    before, after = finding(measured=0.95), finding(measured=0.25, level="review")
    new = finding(where="per ISO 27001")
    found = compared(
        scan(findings=(gone, same, before)), scan(findings=(new, after, same), created="2026-11-23T00:00:00")
    )
    assert (found.only_a, found.only_b, found.n_same) == ((gone,), (new,), 1)
    [change] = found.changed
    assert (change.a, change.b, change.changed) == (before, after, ("level", "measured"))
    assert not found.decision_changed
    assert to_dict(found)["changed"][0]["changed"] == ["level", "measured"]


def test_findings_of_one_place_are_matched_equal_ones_first():
    one, two, three = (finding(sentence=s) for s in ("one", "two", "three"))
    found = compared(scan(findings=(one, two)), scan(findings=(three, two, one)))
    assert (found.only_a, found.only_b, found.changed, found.n_same) == ((), (three,), (), 2)
    found = compared(scan(findings=(one, two)), scan(findings=(three, two)))
    assert found.changed == (FindingChange(a=one, b=three),)
    assert found.changed[0].changed == ("sentence",)


def test_a_change_of_verdict_shows():
    found = compared(scan(), scan(findings=()))
    assert (found.decision_changed, found.a.decision, found.b.decision) == (True, "block", "allow")


def test_statistics_stand_side_by_side():
    moved = Statistic(name="outlier_gap", battery="structural", value=0.03, n_probes=19, interval=None)
    b = dataclasses.replace(scan(), behaviour=behaviour(statistics=(moved,)), weights=None)
    table = {(s.kind, s.name, s.battery): (s.a, s.b) for s in compared(scan(), b).statistics}
    assert table == {
        ("behaviour", "outlier_gap", "structural"): (0.83, 0.03),
        ("behaviour", "max_attack_rate", "structural"): (None, None),
        ("category", "mean_attack_rate", "citation"): (0.5, 0.5),
        ("weights", "spread", ""): (0.25, None),
        ("weights", "mean_entropy", ""): (0.5, None),
        ("study v1", "std", ""): (0.125, None),
    }
    gap = next(s for s in compared(scan(), b).statistics if s.name == "outlier_gap")
    assert gap.difference == pytest.approx(-0.80)


def test_other_circumstances_are_named():
    b = scan(
        provenance={
            "seed": 1,
            "profile": {"id": "p2"},
            "versions": {"lorabench": "0.2.0", "torch": "2.13.0"},
        },
        behaviour=behaviour(battery_digest="33" * 32),
    )
    found = {d.name: (d.a, d.b) for d in compared(scan(), b).provenance}
    assert found == {
        "seed": ("0", "1"),
        "profile": ("demo-guard-1", None),
        "profile.id": (None, "p2"),
        "versions.lorabench": ("0.1.0", "0.2.0"),
        "device": ("cpu", None),
        "behaviour.battery_digest": ("11" * 32, "33" * 32),
    }
    assert brief(b).profile == "p2"


def test_a_scan_is_the_same_as_itself():
    found = compared(scan(), scan())
    assert (found.only_a, found.only_b, found.changed, found.provenance) == ((), (), (), ())
    assert all(s.a == s.b for s in found.statistics)


@settings(max_examples=60, deadline=None)
@given(scans_made(), scans_made())
def test_the_other_way_round_only_a_and_b_change_places(a, b):
    there, back = compared(a, b), compared(b, a)
    assert there.only_a == back.only_b
    assert there.only_b == back.only_a
    assert [(c.a, c.b) for c in there.changed] == [(c.b, c.a) for c in back.changed]
    assert [(s.name, s.a, s.b) for s in there.statistics] == [(s.name, s.b, s.a) for s in back.statistics]
    assert [(p.name, p.a, p.b) for p in there.provenance] == [(p.name, p.b, p.a) for p in back.provenance]
    n_a = sum(len(s.findings) for s in a.stages)
    assert there.n_same + len(there.changed) + len(there.only_a) == n_a


def test_the_book_compares_kept_scans_also_of_two_adapters(tmp_path):
    with CaseBook(tmp_path / "cases.sqlite") as book:
        book.record_scan(run_at(1), "Ada")
        book.record_scan(run_at(2, findings=(), subject=OTHER), "Ada")
        found = book.compare(1, 2)
    assert (found.a.id, found.b.id, found.is_same_adapter) == (1, 2, False)
    assert [f.rule for f in found.only_a] == ["behaviour-flips"]
