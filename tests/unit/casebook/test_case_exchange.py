"""Cases that leave one book and come into another."""

from __future__ import annotations

import copy
import json

import pytest
from case_samples import OTHER, run_at, scan, scans_made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorabench.casebook import CaseBook
from lorabench.casebook.conform import conforms
from lorabench.errors import InputError
from lorabench.results import to_dict
from lorabench.results.scans import ScanResult


@pytest.fixture
def books(tmp_path):
    with CaseBook(tmp_path / "a.sqlite") as a, CaseBook(tmp_path / "b.sqlite") as b:
        a.record_scan(run_at(1), "Ada")
        a.note(1, "looks\nodd", "Ada")
        a.decide(1, "block", "It flips.", "Ada")
        a.record_scan(run_at(2), "Grace")
        yield a, b


def sent(book, number=1):
    """Return an export after its way through a file."""
    return json.loads(json.dumps(book.export(number)))


def said(case):
    """Return what a case holds, without numbers and marks of this book."""
    return (
        case.subject,
        case.name,
        [(s.digest, s.decision, s.who, s.created) for s in case.scans],
        [(n.text, n.who, n.created) for n in case.notes],
        [(d.decision, d.reason, d.who, d.created) for d in case.decisions],
        [(r.reason, r.who, r.created) for r in case.reopenings],
    )


def test_everything_arrives_as_a_claim(books):
    a, b = books
    added = b.import_export(sent(a), "Linus")
    assert (added.is_new, added.n_scans, added.n_notes, added.n_decisions, added.n_reopenings) == (
        True,
        2,
        1,
        1,
        1,
    )
    assert said(added.case) == said(a.get(1))
    entries = (*added.case.scans, *added.case.notes, *added.case.decisions, *added.case.reopenings)
    assert all(e.is_claim and e.imported_by == "Linus" for e in entries)
    assert (added.case.decision, added.case.verdict, added.case.status) == (None, None, "open")
    assert to_dict(b.load_scan(1)) == to_dict(a.load_scan(1))
    assert b.search(decision="block") == ()


def test_a_second_time_adds_nothing_here_and_there(books):
    a, b = books
    b.import_export(sent(a), "Linus")
    there = b.get(1)
    again = b.import_export(sent(a), "Linus")
    assert (again.is_new, again.n_scans, again.n_notes, again.n_decisions, again.n_reopenings) == (
        False,
        0,
        0,
        0,
        0,
    )
    assert b.get(1) == there
    before = a.get(1)
    a.import_export(sent(b), "Ada")  # and back home
    assert a.get(1) == before


def test_own_entries_and_decisions_are_left_alone(books):
    a, b = books
    b.record_scan(run_at(9), "Linus")
    b.decide(1, "allow", "mine", "Linus")
    case = b.import_export(sent(a), "Linus").case
    assert (case.decision, case.status, case.verdict) == ("allow", "closed", "block")
    assert [d.is_claim for d in case.decisions] == [False, True]
    assert len(case.scans) == 3


def test_a_claim_does_not_stand_in_the_way_of_what_is_done_here(books):
    a, b = books
    b.import_export(sent(a), "Linus")
    case = b.record_scan(run_at(1), "Linus")
    assert [s.is_claim for s in case.scans] == [True, True, False]
    assert case.verdict == "block"
    again = b.import_export(sent(a), "Linus")
    assert (again.n_scans, len(again.case.scans)) == (0, 3)
    assert len(b.record_scan(run_at(1), "Linus").scans) == 3
    assert len(b.import_export(sent(b), "Linus").case.scans) == 3


SPOILS = {
    "no object": lambda d: [],
    "nothing": lambda d: None,
    "another format": lambda d: d | {"format": "x"},
    "no case": lambda d: d | {"case": 3},
    "no subject": lambda d: d["case"].pop("subject"),
    "a bad subject": lambda d: d["case"].update(subject="../" + "a" * 61),
    "another subject": lambda d: d["case"].update(subject=OTHER),
    "no name": lambda d: d["case"].update(name=None),
    "a long name": lambda d: d["case"].update(name="n" * 5000),
    "notes as text": lambda d: d["case"].update(notes="abc"),
    "a note as text": lambda d: d["case"]["notes"].append("abc"),
    "a long note": lambda d: d["case"]["notes"][0].update(text="x" * 20_001),
    "an empty note": lambda d: d["case"]["notes"][0].update(text="\x00"),
    "a number as note": lambda d: d["case"]["notes"][0].update(text=3),
    "nobody": lambda d: d["case"]["notes"][0].update(who=""),
    "no time": lambda d: d["case"]["notes"][0].update(created="yesterday"),
    "too many": lambda d: d["case"].update(notes=d["case"]["notes"] * 10_001),
    "a made-up decision": lambda d: d["case"]["decisions"][0].update(decision="inconclusive"),
    "a list as decision": lambda d: d["case"]["decisions"][0].update(decision=["allow"]),
    "no scan": lambda d: d["case"]["scans"][0].pop("result"),
    "half a scan": lambda d: d["case"]["scans"][0]["result"].pop("verdict"),
    "a text as stages": lambda d: d["case"]["scans"][0]["result"].update(stages="file"),
    "no stages": lambda d: d["case"]["scans"][0]["result"].update(stages=[]),
    "a number as name": lambda d: d["case"]["scans"][0]["result"].update(name=7),
    "a text as number": lambda d: d["case"]["scans"][0]["result"].update(seconds="1"),
    "a huge number": lambda d: d["case"]["scans"][0]["result"].update(seconds=10**400),
    "true as number": lambda d: d["case"]["scans"][0]["result"].update(seconds=True),
    "a made-up level": lambda d: d["case"]["scans"][0]["result"]["stages"][2]["findings"][0].update(
        level="x"
    ),
    "an impossible rate": lambda d: d["case"]["scans"][0]["result"]["behaviour"]["probes"][0]["rate"].update(
        n_hits=9
    ),
    "an impossible verdict": lambda d: d["case"]["scans"][0]["result"]["verdict"].update(
        decision="allow", is_degraded=True
    ),
    "another scan format": lambda d: d["case"]["scans"][0]["result"].update(format="lorabench-scan-9"),
    "a deep provenance": lambda d: d["case"]["scans"][0]["result"].update(provenance={"x": deep(30)}),
}


def deep(levels):
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=list(SPOILS))
def test_a_spoiled_export_is_refused_whole(books, spoil):
    a, b = books
    data = copy.deepcopy(sent(a))
    spoiled = spoil(data)
    with pytest.raises(InputError):
        b.import_export(spoiled if not isinstance(spoiled, dict) or "case" in spoiled else data, "Linus")
    assert b.search() == ()


def test_control_characters_do_not_come_in(books):
    a, b = books
    data = sent(a)
    data["case"]["name"] = "evil\nname\x1b[31m"
    data["case"]["notes"][0]["text"] = "a\x1b[2Jb"
    case = b.import_export(data, "Linus").case
    assert (case.name, case.notes[0].text) == ("evil name[31m", "a[2Jb")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    ("case",),
    ("case", "scans", 0),
    ("case", "scans", 0, "result"),
    ("case", "scans", 0, "result", "stages"),
    ("case", "scans", 0, "result", "stages", 2, "findings", 0),
    ("case", "scans", 0, "result", "file"),
    ("case", "scans", 0, "result", "verdict"),
    ("case", "scans", 0, "result", "behaviour", "statistics"),
    ("case", "scans", 0, "result", "weights", "aggregates"),
    ("case", "decisions", 0),
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), st.data(), json_values)
def test_whatever_stands_anywhere_it_is_refused_or_kept_whole(books, place, data, value):
    a, b = books
    export = sent(a)
    at = export
    for step in place[:-1]:
        at = at[step]
    target = at[place[-1]]
    if isinstance(target, dict) and data.draw(st.booleans()):
        target[data.draw(st.sampled_from(sorted(target)))] = value
    else:
        at[place[-1]] = value
    try:
        case = b.import_export(export, "Linus").case
    except InputError:
        return
    for s in case.scans:
        assert conforms(ScanResult, b.load_scan(s.id))


@settings(max_examples=10, deadline=None)
@given(st.lists(scans_made(), min_size=1, max_size=3), st.lists(st.text(min_size=1, max_size=30), max_size=3))
def test_export_and_import_is_a_round_trip(tmp_path_factory, scans, notes):
    folder = tmp_path_factory.mktemp("trip")
    with CaseBook(folder / "a.sqlite") as a, CaseBook(folder / "b.sqlite") as b:
        for made in scans:
            a.record_scan(made, "Ada")
        for note in notes:
            try:
                a.note(1, note, "Ada")
            except InputError:  # nothing visible in it
                continue
        case = b.import_export(sent(a), "Linus").case
        assert said(case) == said(a.get(1))
        assert [to_dict(b.load_scan(s.id)) for s in case.scans] == [
            to_dict(a.load_scan(s.id)) for s in a.get(1).scans
        ]


@given(scans_made())
def test_our_own_scans_conform(made):
    assert conforms(ScanResult, made)
    assert conforms(ScanResult, scan())
