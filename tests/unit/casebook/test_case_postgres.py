"""The case book in a real PostgreSQL; set LORABENCH_TEST_POSTGRES to the URL of an empty database."""

from __future__ import annotations

import os
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from case_samples import SUBJECT, run_at
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from lorabench.casebook import CaseBook, schema
from lorabench.results import to_dict

TABLES = ("reopenings", "decisions", "notes", "scans", "cases", schema.VERSION_TABLE)


@pytest.fixture
def url():
    pytest.importorskip("psycopg")
    found = os.environ.get("LORABENCH_TEST_POSTGRES")
    if not found:
        pytest.skip("LORABENCH_TEST_POSTGRES is not set")
    yield found
    with CaseBook(found) as book, book._database.write() as connection:
        connection.execute(text(f"DROP TABLE {', '.join(TABLES)}"))
        connection.execute(text("DROP FUNCTION cases_append_only"))


def test_many_make_it_and_write_at_once(url):
    errors: list[BaseException] = []

    def work(i: int) -> None:
        try:
            with CaseBook(url) as own:
                number = own.record_scan(run_at(i), f"w{i}").number
                for n in range(5):
                    own.note(number, f"note {n} 100%", f"w{i}")
                own.decide(number, "block", "It flips.", f"w{i}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert errors == []
    with CaseBook(url) as book:
        [case] = book.search("0%", decision="block")
        assert (case.subject, len(case.scans), len(case.notes), len(case.decisions)) == (SUBJECT, 6, 30, 6)
        assert book.search("_") == ()
        for kept in case.scans:
            assert to_dict(book.load_scan(kept.id)) == to_dict(run_at(int(kept.who[1:])))
        assert book.import_export(book.export(1), "Ada").n_notes == 0


def test_the_tables_are_the_declared_ones_and_append_only(url):
    with CaseBook(url) as book:
        book.record_scan(run_at(1), "Ada")
        book.note(1, "note", "Ada")
        with book._database.read() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
            assert compare_metadata(context, schema.metadata) == []
        for change in (
            "UPDATE notes SET text = ''",
            "DELETE FROM scans",
            "TRUNCATE notes",
            "DELETE FROM cases",
        ):
            with pytest.raises(DBAPIError, match="append-only"), book._database.write() as connection:
                connection.execute(text(change))
