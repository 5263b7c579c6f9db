"""The ground under the case book: versions, damage, no room, others who write, and PostgreSQL by URL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import warnings
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from case_samples import run_at, scan
from sqlalchemy import event

from lorabench.casebook import CaseBook, database, schema, troubles, upgrade
from lorabench.errors import InputError, StorageError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "odd ?#% name" / "cases.sqlite"


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM cases_version").fetchone()[0]


def test_an_empty_database_gets_the_present_tables(path):
    path.parent.mkdir()
    path.touch()
    with CaseBook(path) as book:
        assert book.count() == 0
        with book._database.read() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert compare_metadata(context, schema.metadata) == []
    assert version(path) == schema.REVISIONS[-1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_new_book_is_nobody_elses_to_read(path):
    CaseBook(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_known_versions_are_those_of_the_migrations():
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(upgrade._MIGRATIONS))
    script = ScriptDirectory.from_config(settings)
    assert tuple(r.revision for r in reversed(list(script.walk_revisions()))) == schema.REVISIONS
    assert script.get_current_head() == schema.REVISIONS[-1]


def test_importing_the_way_in_does_nothing():
    from lorabench.casebook.migrations import env

    assert callable(env.migrate)


SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("notes", sa.Column("colour", sa.String(10)))
    {then}
"""


@pytest.fixture
def later(tmp_path, monkeypatch):
    """Return a function that makes this lorabench one with a second version of the tables."""

    def make(then="pass"):
        folder = tmp_path / "migrations"
        shutil.copytree(upgrade._MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        folder.joinpath("versions", "v0002_second.py").write_text(SECOND.format(then=then))
        monkeypatch.setattr(upgrade, "_MIGRATIONS", folder)
        for module in (upgrade, database):
            monkeypatch.setattr(module, "REVISIONS", ("0001", "0002"))

    return make


def test_a_book_of_version_1_is_brought_up_to_date_and_keeps_everything(path, later):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
        book.note(1, "kept", "Ada")
        before = book.get(1)
    later()
    with CaseBook(path) as book:
        assert book.get(1) == before
        book.note(1, "more", "Ada")
    assert version(path) == "0002"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT text, colour FROM notes").fetchall() == [
            ("kept", None),
            ("more", None),
        ]


def test_a_migration_that_fails_changes_nothing(path, later):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
    later(then="raise RuntimeError('the lights went out')")
    with pytest.raises(RuntimeError, match="lights"):
        CaseBook(path)
    assert version(path) == "0001"
    with closing(sqlite3.connect(path)) as connection:
        assert "colour" not in {row[1] for row in connection.execute("PRAGMA table_info(notes)")}


def test_a_newer_book_is_left_alone(path):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE cases_version SET version_num = '0099'")
        connection.commit()
        before = list(connection.iterdump())
    with pytest.raises(StorageError, match="newer lorabench") as caught:
        CaseBook(path)
    assert caught.value.rule == "cases-newer"
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


def test_somebody_elses_database_is_left_alone(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE thesis (chapter TEXT)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="other tables"):
        CaseBook(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 50, b"x" * 4096])
def test_a_damaged_file_is_named_and_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged") as caught:
        CaseBook(path)
    assert caught.value.rule == "cases-damaged"
    assert path.read_bytes() == content
    assert {p.name for p in path.parent.iterdir()} == {path.name}


def test_damage_that_shows_later_is_named_too(path):
    with CaseBook(path) as book:
        for i in range(20):
            book.record_scan(run_at(i), "Ada")
    data = bytearray(path.read_bytes())
    data[3 * 4096 :] = b"\xff" * (len(data) - 3 * 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError) as caught, CaseBook(path) as book:
        book.get(1)
    assert caught.value.rule == "cases-damaged"


def test_a_scan_that_was_tampered_with_is_not_believed(path):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER scans_no_update")
        connection.execute("UPDATE scans SET result = zeroblob(100)")
        connection.commit()
    with CaseBook(path) as book:
        for use in (book.load_scan, book.export, lambda n: book.compare(n, n)):
            with pytest.raises(StorageError, match="not as it was kept"):
                use(1)


def write_until_it_is_full(book):
    for i in range(50):
        book.note(1, os.urandom(8_000).hex(), f"w{i}")


def test_no_room_is_a_sentence_and_leaves_no_half_entry(path):
    with CaseBook(path) as book:
        before = book.record_scan(scan(), "Ada")
        book._database._engine.dispose()
        event.listen(
            book._database._engine,
            "connect",
            lambda connection, record: connection.execute("PRAGMA max_page_count = 1"),  # the size it has
        )
        with pytest.raises(StorageError) as caught:
            write_until_it_is_full(book)
        assert caught.value.rule == "cases-disk-full"
        kept = len(book.get(1).notes)
    with CaseBook(path) as book:
        assert book.get(1).scans == before.scans
        assert len(book.get(1).notes) == kept


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    tmp_path.joinpath("file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        CaseBook(tmp_path / "file" / "cases.sqlite")
    assert caught.value.rule == "cases-unwritable"


def test_a_book_that_vanishes_is_missed_not_begun_afresh(path):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
        book._database._engine.dispose()
        path.unlink()
        with pytest.raises(StorageError, match="cannot be opened"):
            book.get(1)
        assert not path.exists()


def test_who_waits_too_long_is_told(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError) as caught:
                book.note(1, "text", "Ada")
            assert caught.value.rule == "cases-busy"
            assert book.get(1).notes == ()  # reading goes on
            other.execute("ROLLBACK")
        book.note(1, "text", "Ada")


PROGRAM = """
import sys
from pathlib import Path
from lorabench.casebook import CaseBook
with CaseBook(Path(sys.argv[1])) as book:
    for i in range(10):
        book.note(1, f"note {i}", sys.argv[2])
"""


def test_two_processes_write_at_once(path):
    with CaseBook(path) as book:
        book.record_scan(scan(), "Ada")
        running = [
            subprocess.Popen([sys.executable, "-c", PROGRAM, str(path), who], stderr=subprocess.PIPE)
            for who in ("one", "two")
        ]
        for process in running:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err.decode()
        notes = book.get(1).notes
    for who in ("one", "two"):
        assert [n.text for n in notes if n.who == who] == [f"note {i}" for i in range(10)]


def test_a_sqlite_url_is_a_file(path):
    path = path.parent.with_name("plain") / "cases.sqlite"
    with CaseBook(f"sqlite:///{path}") as book:
        book.record_scan(scan(), "Ada")
    with CaseBook(path) as book:
        assert book.count() == 1


SECRET = "hunter2"
BAD_URLS = [
    "",
    "nonsense",
    SECRET,
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file:x?mode=memory&uri=true",
    f"mysql://ada:{SECRET}@host/cases",
    f"postgresql://ada:{SECRET}@{SECRET}@host/cases",
    f"postgresql://ada:x@y/{SECRET}@host/cases",
    f"postgresql://ada:{SECRET}@host:port/cases",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_cannot_be_used_are_refused_without_repeating_them(url):
    with pytest.raises(InputError) as caught:
        CaseBook(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgres://ada:{}@127.0.0.1:1/cases", "postgresql://127.0.0.1:1/cases?password={}"]
)
def test_a_server_out_of_reach_is_named_without_credentials(url):
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError) as caught:
        CaseBook(url.format(SECRET))
    assert caught.value.rule == "cases-unreachable"
    assert "127.0.0.1" in str(caught.value)
    chain = [caught.value, caught.value.__cause__, caught.value.__cause__.__cause__]
    assert not any(SECRET in f"{error}" or "ada" in str(caught.value) for error in chain)


def test_a_missing_driver_is_a_sentence(monkeypatch):
    def missing(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(database, "create_engine", missing)
    with pytest.raises(InputError, match=r"lorabench\[postgres\]"):
        CaseBook("postgresql://ada@host/cases")


@pytest.mark.parametrize(
    ("state", "rule"),
    [
        ("53100", "cases-disk-full"),
        ("55P03", "cases-busy"),
        ("42501", "cases-unwritable"),
        ("28P01", "cases-unreachable"),
        ("23505", None),
    ],
)
def test_what_postgresql_says_becomes_a_sentence(state, rule):
    said = type("OperationalError", (Exception,), {"sqlstate": state})()
    found = troubles.explained(said, "The case book")
    assert (found and found.rule) == rule
