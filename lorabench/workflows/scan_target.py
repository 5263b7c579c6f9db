"""From what somebody sent (a folder, a zip archive, a hub id) to a folder that can be scanned."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lorabench import adapters
from lorabench.adapters.files import CHUNK, open_regular
from lorabench.config import Config
from lorabench.errors import AdapterRefusedError, InputError

_KEPT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTarget:
    """What is to be scanned.

    Attributes:
        name: What it is called; untrusted text.
        folder: Where its files lie; None if an archive was refused before anything was unpacked.
        refusal: Why, or None.
        subject: sha256 of an archive; "" for a folder, which the scan itself names.
        left_out: Names of files that an archive or repository holds and that were not taken over.
    """

    name: str
    folder: Path | None
    refusal: AdapterRefusedError | None = None
    subject: str = ""
    left_out: tuple[str, ...] = ()


def take_in(config: Config, source: str) -> ScanTarget:
    """Make a source ready for scanning; nothing of it is judged or loaded here.

    Args:
        config: Where things are; archives and hub repositories are unpacked into its intake folder, under
            the hash of their bytes, so that a scan can go on after a restart.
        source: An installed name, a folder, a zip file, or a hub id.

    Raises:
        InputError: If there is no such thing, or the hub cannot be reached.
        StorageError: If the disk is full.
    """
    path = Path(os.path.expanduser(source))
    if "\0" in source or len(source) > 4096:
        raise InputError("bad-path", "That is no path and no name.", "Give a folder, a zip file or a hub id.")
    if path.is_dir():
        return ScanTarget(name=adapters.shown(path.resolve().name), folder=path.resolve())
    if path.exists() or path.is_symlink():
        return _unpacked(config, path, adapters.shown(path.name))
    known = {a.name: a for a in adapters.list_adapters(config)}
    if source in known:
        return ScanTarget(name=source, folder=Path(known[source].path))
    repo_id, _, revision = source.removeprefix("hf:").partition("@")
    if adapters.is_repo_id(repo_id):
        return _fetched(config, repo_id, revision or None)
    found = adapters.find_adapter(source, config)  # says what the nearest names are
    return ScanTarget(name=found.name, folder=Path(found.path))


def _unpacked(config: Config, archive: Path, name: str) -> ScanTarget:
    try:
        subject = _sha256(archive, config.limits.adapter_bytes)
        folder = config.intake_dir / subject[:32]
        if not folder.is_dir():
            adapters.unpack_adapter(archive, folder, config.limits)
            _forget_oldest(config.intake_dir)
        left_out = adapters.left_out_names(archive, config.limits)
    except AdapterRefusedError as error:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return ScanTarget(name=name, folder=None, refusal=error, subject=digest)
    return ScanTarget(name=name, folder=folder, subject=subject, left_out=left_out)


def _fetched(config: Config, repo_id: str, revision: str | None) -> ScanTarget:
    digest = hashlib.sha256(f"{repo_id}@{revision}".encode()).hexdigest()
    # A name of its own each time: a branch may have moved on, and an earlier scan may still be reading.
    folder = config.intake_dir / f"hub-{digest[:20]}{secrets.token_hex(4)}"
    try:
        fetched = adapters.fetch_adapter(
            repo_id, revision, folder, config.limits, cache_dir=config.cache_dir / "hub"
        )
    except AdapterRefusedError as error:
        return ScanTarget(name=repo_id, folder=None, refusal=error, subject=digest)
    _forget_oldest(config.intake_dir)
    return ScanTarget(name=repo_id, folder=folder, left_out=fetched.left_out)


def take_in_upload(config: Config, upload: BinaryIO) -> Path:
    """Write an upload's bytes to the intake folder under their hash, and return the file; nothing is opened.

    Raises:
        InputError: Rule "file-too-large".
    """
    if upload.seek(0, 2) > config.limits.upload_bytes:
        raise InputError(
            "file-too-large",
            f"The upload is larger than {config.limits.upload_bytes:,} bytes.",
            "Copy the adapter to the machine and give its folder.",
        )
    upload.seek(0)
    config.intake_dir.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    part = config.intake_dir / f".upload-{os.getpid()}-{id(upload)}.part"
    with part.open("wb") as file:
        while chunk := upload.read(CHUNK):
            found.update(chunk)
            file.write(chunk)
    path = config.intake_dir / f"{found.hexdigest()[:32]}.zip"
    os.replace(part, path)
    return path


def _sha256(path: Path, max_bytes: int) -> str:
    fd, _ = open_regular(path, max_bytes=max_bytes)
    with open(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget_oldest(folder: Path) -> None:
    """Keep the latest things taken in; what a case needs of an older one is in its scans."""
    entries = sorted(folder.iterdir(), key=lambda p: p.lstat().st_mtime, reverse=True)
    for path in entries[_KEPT:]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
