"""The case book: what goes in comes out, nothing is overwritten, everything is found again."""

from __future__ import annotations

import threading

import pytest
from case_samples import OTHER, SUBJECT, finding, run_at, scan, scans_made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from lorabench.casebook import CaseBook
from lorabench.casebook.packing import pack
from lorabench.casebook.text import NOTE_CHARS, one_line, plain
from lorabench.errors import InputError
from lorabench.results import from_dict, to_dict
from lorabench.results.cases import Case

WHO = "Ada"
several = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def book(tmp_path):
    with CaseBook(tmp_path / "cases.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One book for all examples of a property."""
    with CaseBook(tmp_path_factory.mktemp("book") / "cases.sqlite") as opened:
        yield opened


def test_a_scan_begins_a_case_and_is_kept_whole(book):
    case = book.record_scan(scan(), WHO)
    assert (case.number, case.subject, case.name, case.status) == ("0001", SUBJECT, "guard-strong", "open")
    assert (case.verdict, case.decision) == ("block", None)
    [kept] = case.scans
    assert (kept.profile, kept.lorabench, kept.seconds, kept.who) == ("demo-guard-1", "0.1.0", 12.5, WHO)
    assert kept.rules == ("behaviour-flips",)
    assert to_dict(book.load_scan(kept.id)) == to_dict(scan())  # the lone surrogate and the NaN, too
    assert book.get("0001") == book.get(1) == book.get("#1") == book.find(SUBJECT) == case
    assert from_dict(Case, to_dict(case)) == case


def test_cases_belong_to_adapters_not_to_names(book):
    book.record_scan(run_at(1, name="first"), WHO)
    again = book.record_scan(run_at(2, name="renamed"), WHO)
    other = book.record_scan(run_at(3, name="first", subject=OTHER), WHO)
    assert (again.number, again.name, [s.name for s in again.scans]) == (
        "0001",
        "first",
        ["first", "renamed"],
    )
    assert other.number == "0002"
    assert book.count() == 2


def test_the_same_scan_is_kept_once_and_does_not_reopen(book):
    book.record_scan(scan(), WHO)
    book.decide(1, "block", "It flips.", WHO)
    again = book.record_scan(scan(), "Grace")
    assert (len(again.scans), again.status, again.reopenings) == (1, "closed", ())


def test_a_new_scan_opens_a_closed_case_and_says_so(book):
    book.record_scan(run_at(1), WHO)
    book.decide("0001", "allow", "No evidence found with these checks.", WHO)
    assert book.get(1).status == "closed"
    case = book.record_scan(run_at(2), "Grace")
    assert (case.status, case.decision) == ("open", "allow")
    assert [(r.who, "new scan" in r.reason) for r in case.reopenings] == [("Grace", True)]


def test_decisions_add_up_and_the_last_one_counts(book):
    book.record_scan(scan(), WHO)
    for decision, status in (("allow", "closed"), ("review", "open"), ("block", "closed")):
        book.decide(1, decision, f"because {decision}", WHO)
        assert (book.get(1).decision, book.get(1).status) == (decision, status)
    case = book.reopen(1, "second thoughts", WHO)
    assert [d.reason for d in case.decisions] == ["because allow", "because review", "because block"]
    assert (case.status, case.decision) == ("open", "block")
    with pytest.raises(InputError, match="open already"):
        book.reopen(1, "again", WHO)


def test_notes_are_plain_bounded_and_in_order(book):
    book.record_scan(scan(), WHO)
    book.note(1, "first\r\nline\x00\x1b[31m\ud800", "  Ada\nLovelace ")
    book.note(1, "x" * NOTE_CHARS, WHO)
    notes = book.get(1).notes
    assert (notes[0].text, notes[0].who) == ("first\nline[31m", "Ada Lovelace")
    assert len(notes[1].text) == NOTE_CHARS
    for bad in ("", " \n", "\x00", "x" * (NOTE_CHARS + 1)):
        with pytest.raises(InputError):
            book.note(1, bad, WHO)
    for nobody in ("", "\n", "w" * 201):
        with pytest.raises(InputError, match="who does this"):
            book.note(1, "text", nobody)
    assert len(book.get(1).notes) == 2


@pytest.mark.parametrize("number", ["", "0", "-1", "x", "1 OR 1=1", "٣", "9" * 30, "7"])
def test_unknown_numbers_are_refused(book, number):
    book.record_scan(scan(), WHO)
    for use in (book.get, book.export, book.scans, lambda n: book.note(n, "text", WHO)):
        with pytest.raises(InputError):
            use(number)


@pytest.mark.parametrize("number", [0, -1, 2, 2**40])
def test_unknown_scans_are_refused(book, number):
    book.record_scan(scan(), WHO)
    with pytest.raises(InputError, match="no scan"):
        book.load_scan(number)


def test_unknown_words_are_refused_with_the_known_ones(book):
    book.record_scan(scan(), WHO)
    with pytest.raises(InputError, match="'block'"):
        book.decide(1, "blok", "why", WHO)
    with pytest.raises(InputError, match="'allow'"):
        book.search(decision="inconclusive")
    with pytest.raises(InputError, match="'closed'"):
        book.search(status="shut")
    with pytest.raises(InputError, match="sha256"):
        book.record_scan(scan(subject="A" * 64), WHO)


@pytest.mark.parametrize("table", ["scans", "notes", "decisions", "reopenings", "cases"])
@pytest.mark.parametrize("change", ["UPDATE {} SET created = 'x'", "DELETE FROM {}"])
def test_the_tables_themselves_are_append_only(book, table, change):
    book.record_scan(run_at(1), WHO)
    book.note(1, "note", WHO)
    book.decide(1, "block", "why", WHO)
    book.reopen(1, "why", WHO)
    before = book.get(1)
    with pytest.raises(DBAPIError, match="append-only"), book._database.write() as connection:
        connection.execute(text(change.format(table)))
    assert book.get(1) == before


actions = st.lists(
    st.sampled_from(["scan", "again", "note", "allow", "review", "block", "reopen", "bad note"]), max_size=12
)


@settings(several, max_examples=12)
@given(actions)
def test_whatever_is_done_only_adds(tmp_path_factory, steps):
    with CaseBook(tmp_path_factory.mktemp("steps") / "cases.sqlite") as book:
        before = book.record_scan(run_at(0), WHO)
        for i, step in enumerate(steps, 1):
            try:
                if step in ("scan", "again"):
                    book.record_scan(run_at(i if step == "scan" else 0), WHO)
                elif step in ("note", "bad note"):
                    book.note(1, "text" if step == "note" else "", WHO)
                elif step == "reopen":
                    book.reopen(1, "why", WHO)
                else:
                    book.decide(1, step, "why", WHO)
            except InputError:
                assert book.get(1) == before
            after = book.get(1)
            for name in ("scans", "notes", "decisions", "reopenings"):
                old, new = getattr(before, name), getattr(after, name)
                assert new[: len(old)] == old
            assert (after.subject, after.name, after.created) == (before.subject, before.name, before.created)
            before = after


def test_search_finds_names_subjects_notes_reasons_and_rules(book):
    book.record_scan(run_at(1, name="Größe"), WHO)
    book.record_scan(run_at(2, subject=OTHER, findings=(), name="plain"), WHO)
    book.note(2, "asks for RFC 8472", WHO)
    book.decide(1, "block", "leaks secrets", WHO)

    def numbers(wanted, **which):
        return [c.number for c in book.search(wanted, **which)]

    assert numbers("") == ["0002", "0001"]
    assert numbers("GRÖSSE") == []
    assert numbers("grÖß") == ["0001"]
    assert numbers("rfc 8472") == ["0002"]
    assert numbers("BEHAVIOUR-FLIPS") == ["0001"]
    assert numbers("secrets") == ["0001"]
    assert numbers("cdcd") == ["0002"]
    assert numbers("", decision="block") == numbers("", status="closed") == ["0001"]
    assert numbers("", decision="allow") == numbers("secrets", status="open") == []
    assert len(book.search("", limit=1)) == 1


@pytest.mark.parametrize("wild", ["%", "_", "/", "\\", "g_ard", "%strong", "/%", "'", '"', "x' OR '1'='1"])
def test_search_takes_wildcards_literally(book, wild):
    book.record_scan(run_at(1), WHO)
    assert book.search(wild) == ()
    book.note(1, f"before {wild} after", WHO)
    assert [c.number for c in book.search(wild)] == ["0001"]


@several
@given(st.text(alphabet="aB%_/\\' é", min_size=1, max_size=4), st.text(alphabet="ab%_/\\' É", max_size=8))
def test_search_is_containment(shared, wanted, note):
    made = shared.record_scan(scan(subject=f"{abs(hash(note)):064x}"[-64:], findings=()), WHO)
    shared.note(made.number, "«" + note + "»", WHO)
    stored = [n.text.lower() for n in shared.get(made.number).notes]
    query = " ".join(wanted.split()).lower()
    found = {c.number for c in shared.search(wanted)}
    assert (made.number in found) == any(query in s for s in [*stored, "guard-strong", made.subject])


def test_threads_lose_nothing_and_share_one_case(tmp_path):
    path = tmp_path / "cases.sqlite"
    errors: list[BaseException] = []

    def work(i: int) -> None:
        try:
            with CaseBook(path) as own:  # each opens it anew, so that they also race for making it
                number = own.record_scan(run_at(i), f"w{i}").number
                for n in range(5):
                    own.note(number, f"note {n}", f"w{i}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert errors == []
    with CaseBook(path) as book:
        [case] = book.search()
        assert (len(case.scans), len(case.notes)) == (6, 30)
        for i in range(6):
            assert [n.text for n in case.notes if n.who == f"w{i}"] == [f"note {n}" for n in range(5)]


def test_one_book_serves_many_threads(book):
    book.record_scan(scan(), WHO)
    threads = [threading.Thread(target=book.note, args=(1, f"note {i}", WHO)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert {n.text for n in book.get(1).notes} == {f"note {i}" for i in range(12)}


@several
@given(scans_made())
def test_any_scan_comes_back_as_it_was(shared, made):
    [kept] = [s for s in shared.record_scan(made, WHO).scans if s.digest == pack(made).digest]
    loaded = shared.load_scan(kept.id)
    assert to_dict(loaded) == to_dict(made)
    assert pack(loaded).digest == kept.digest


def test_many_findings_of_one_rule_are_named_once(book):
    found = (*(finding(where=str(i)) for i in range(5)), finding("behaviour-alarm", level="review"))
    assert book.record_scan(scan(findings=found), WHO).scans[0].rules == (
        "behaviour-alarm",
        "behaviour-flips",
    )


@given(st.text())
def test_plain_text_is_what_every_database_can_hold(given_text):
    clean = plain(given_text)
    assert clean.isprintable() or all(c not in clean for c in "\x00\n\x1b\x7f")
    clean.encode()


@given(st.text(), st.integers(1, 10))
def test_one_line_of_one_line_is_itself(given_text, limit):
    line = one_line(given_text, limit)
    assert one_line(line, limit) == line
    assert len(line) <= limit
    assert not set(line) & set("\n\r\t\x00\x1b\u2028")
