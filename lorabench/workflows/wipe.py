"""Remove what lorabench remembers of its users: prompts, jobs and scores; base models and cases stay.

Only files that lorabench itself makes are removed, by name: a data folder that was pointed at
somebody's home loses nothing else.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lorabench.config import Config
from lorabench.engine.database import Database
from lorabench.errors import ServerError, StorageError
from lorabench.workflows.server import running_dashboards


@dataclass(frozen=True, slots=True, kw_only=True)
class WipedPart:
    """One kind of user data.

    Attributes:
        title: What it is, such as "score store".
        n_items: Rows, jobs or adapters; None if they could not be counted.
        n_bytes: Size on disk.
    """

    title: str
    n_items: int | None
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeReport:
    """What was removed, or would be.

    Attributes:
        parts: Kinds of data that were there.
        kept: What is in the data folder and stays, such as added adapters.
        n_cases_kept: Cases in the folder's case book, which stays; None if they could not be counted.
        data_dir: The folder.
    """

    parts: tuple[WipedPart, ...]
    kept: tuple[str, ...]
    data_dir: str
    n_cases_kept: int | None = 0

    @property
    def n_bytes(self) -> int:
        """Size of all parts together."""
        return sum(p.n_bytes for p in self.parts)


_OURS = re.compile(r"(?:hub-)?[0-9a-f]{28,32}(?:\.zip)?|\.upload-[0-9-]+\.part")
_TABLES = {"score store": "scores", "job list with its prompts": "jobs"}


def plan_wipe(config: Config, *, adapters: bool = False, cases: bool = False) -> WipeReport:
    """Return what `wipe` would remove; removes nothing."""
    parts = [
        WipedPart(title=title, n_items=_count(files[0], _TABLES[title]), n_bytes=_size(files))
        for title, files in _databases(config).items()
        if files
    ]
    taken_in = _taken_in(config)
    if taken_in:
        parts.append(
            WipedPart(title="archives taken in for scans", n_items=len(taken_in), n_bytes=_size(taken_in))
        )
    added = _adapters(config)
    if adapters and added:
        parts.append(WipedPart(title="added adapters", n_items=len(added), n_bytes=_size(added)))
    kept = () if adapters else tuple(p.name for p in added if not p.name.startswith("."))
    book = _case_files(config)
    n_cases = _count(config.cases_path, "cases") if book else 0
    if cases and book:
        parts.append(WipedPart(title="case book", n_items=n_cases, n_bytes=_size(book)))
    return WipeReport(
        parts=tuple(parts),
        kept=kept,
        data_dir=str(config.data_dir),
        n_cases_kept=0 if cases else n_cases,
    )


def wipe(config: Config, *, adapters: bool = False, cases: bool = False, force: bool = False) -> WipeReport:
    """Remove the score store and the job list, in which all prompts are.

    A case book that `LORABENCH_CASES_URL` names is not in the data folder and stays in any case.

    Args:
        config: Where user data lives.
        adapters: Also remove the adapters that the user added.
        cases: Also remove the folder's case book; never while a dashboard runs.
        force: Also while a dashboard runs; its tables are then emptied in place.

    Raises:
        ServerError: If a dashboard runs on this data folder, and `force` is not set or `cases` is.
        StorageError: If something could not be removed.
    """
    running = running_dashboards(config)
    if running and (cases or not force):
        urls = ", ".join(d.url for d in running)
        raise ServerError(
            "dashboard-running",
            f"A dashboard uses this data folder now ({urls}).",
            "Stop it first (Ctrl-C in its window)" + ("." if cases else ", or add --force."),
        )
    report = plan_wipe(config, adapters=adapters, cases=cases)
    try:
        for title, files in _databases(config).items():
            if files and running:
                _empty(files[0], _TABLES[title])
            else:
                for path in files:
                    path.unlink(missing_ok=True)
        for path in _taken_in(config):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for folder in _adapters(config) if adapters else ():
            shutil.rmtree(folder)
        for path in _case_files(config) if cases else ():
            path.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            "cannot-wipe",
            f"Not everything in {config.data_dir} could be removed ({error}).",
            "Close other lorabench processes and check the folder's permissions, then try again.",
        ) from error
    return report


def _databases(config: Config) -> dict[str, list[Path]]:
    """Return the files of each database, the database itself first."""
    return {
        title: sorted(path.parent.glob(f"{path.name}*")) if path.parent.is_dir() else []
        for title, path in zip(_TABLES, (config.store_path, config.jobs_path), strict=True)
    }


def _case_files(config: Config) -> list[Path]:
    """Return the folder's case book with what SQLite keeps beside it, by exact name."""
    book = config.cases_path
    return [p for p in (Path(f"{book}{side}") for side in ("", "-wal", "-shm", "-journal")) if p.is_file()]


def _adapters(config: Config) -> list[Path]:
    folder = config.adapters_dir
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()) if folder.is_dir() else []


def _taken_in(config: Config) -> list[Path]:
    """Return what was taken in for scans, by the names that we give: hex digits, and "hub-" before some."""
    folder = config.intake_dir
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if _OURS.fullmatch(p.name) and not p.is_symlink()]


def _count(database: Path, table: str) -> int | None:
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.Error:
        return None  # damaged, or a file that was set aside: it goes all the same


def _empty(database: Path, table: str) -> None:
    """Delete all rows of a database that another process has open, and give the space back."""
    version = 1
    opened = Database(database, "", version=version, what=table)
    try:
        opened.wipe(lambda c: c.execute(f"DELETE FROM {table}"))
    finally:
        opened.close()


def _size(paths: list[Path]) -> int:
    return sum(f.stat().st_size for p in paths for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file())
