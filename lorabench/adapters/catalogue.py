"""The adapters that the workbench knows: the bundled zoo, and those a user added."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import re
import secrets
import shutil
import unicodedata
from pathlib import Path
from typing import BinaryIO, Literal

from lorabench.adapters.archive import file_caps, unpack_adapter
from lorabench.adapters.claims import MAX_JSON_BYTES, parse_claims
from lorabench.adapters.files import copy_regular, read_small, staged_folder, storage_error
from lorabench.adapters.hub import fetch_adapter, is_repo_id
from lorabench.adapters.inventory import ADAPTER_FILES, ADDED_FILE, MAX_ENTRIES, take_inventory
from lorabench.adapters.reader import read_adapter
from lorabench.adapters.text import shown
from lorabench.config import Config, Limits, app_root
from lorabench.errors import AdapterRefusedError, InputError, LorabenchError, unknown_name
from lorabench.results import AdapterFacts, InstalledAdapter

_log = logging.getLogger(__name__)
_MAX_NAME = 64
Origin = Literal["zoo", "added", "path"]


def list_adapters(config: Config) -> tuple[InstalledAdapter, ...]:
    """Return every installed adapter: the zoo by name, then the user's own by name.

    A refused adapter is listed too, with the sentence of its refusal instead of facts.
    """
    return tuple(
        _installed(name, path, origin, config.limits) for name, (path, origin) in _folders(config).items()
    )


def find_adapter(name_or_path: str, config: Config) -> InstalledAdapter:
    """Return one adapter by its installed name, or by a folder on this machine; never from a network.

    Args:
        name_or_path: Such as "guard-strong", "assets/zoo/guard-strong" or "/data/my-adapter".
        config: Where things are.

    Returns:
        The adapter; a refused one has no facts.

    Raises:
        InputError: Rule "unknown-name", with the nearest known names.
    """
    known = _folders(config)
    if name_or_path in known:
        path, origin = known[name_or_path]
        return _installed(name_or_path, path, origin, config.limits)
    folder = _existing_folder(name_or_path)
    if folder is None:
        raise unknown_name("adapter", shown(name_or_path), list(known))
    for name, (path, origin) in known.items():
        if path.resolve() == folder:
            return _installed(name, path, origin, config.limits)
    return _installed(shown(folder.name), folder, "path", config.limits)


def add_adapter(
    source: str | Path | BinaryIO, config: Config, *, name: str | None = None
) -> InstalledAdapter:
    """Copy an adapter into the user's collection after checking it, whole or not at all.

    Args:
        source: A folder, a zip archive, an open zip file (an upload; needs `name`), or a hub id
            "owner/name", "owner/name@revision" or "hf:owner/name". An existing path always wins
            over a hub id.
        config: Where things are.
        name: Its name here; by default that of the source. Reduced to a-z, 0-9 and "-".

    Raises:
        AdapterRefusedError: With the rule of the check that failed.
        InputError: The name is taken or the source does not exist.
        StorageError: Rules "disk-full" and "cannot-write".
    """
    wanted = _clean_name(name or _default_name(source))
    if wanted in _folders(config):
        raise InputError(
            "name-taken",
            f"There already is an adapter called {wanted!r}.",
            "Give another name, or remove it first.",
        )
    target = config.adapters_dir / wanted
    with staged_folder(target) as staging:
        fetched, added = _bring(source, staging / "content", config)
        read_adapter(fetched, config.limits)  # refuse before anything gets its name
        for file in ADAPTER_FILES:
            if (fetched / file).exists():
                os.rename(fetched / file, staging / file)
        fetched.rmdir()
        (staging / ADDED_FILE).write_text(
            json.dumps(added, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
    _log.info("added adapter %s", wanted)
    return _installed(wanted, target, "added", config.limits)


def remove_adapter(name: str, config: Config) -> None:
    """Delete an adapter that a user added; the bundled zoo stays.

    Raises:
        InputError: Rules "unknown-name" and "zoo-adapter".
        StorageError: Rule "cannot-write".
    """
    known = _folders(config)
    if name not in known:
        raise unknown_name(
            "adapter", shown(name), [n for n, (_, origin) in known.items() if origin == "added"]
        )
    path, origin = known[name]
    if origin != "added":
        raise InputError(
            "zoo-adapter", f"{name!r} belongs to the bundled zoo.", "Only added adapters can be removed."
        )
    doomed = path.with_name(f".{path.name}.{secrets.token_hex(6)}.gone")
    try:
        os.rename(path, doomed)  # it vanishes at once, even if deleting takes long or fails
        shutil.rmtree(doomed)
    except OSError as error:
        raise storage_error(path, error) from error


def _folders(config: Config) -> dict[str, tuple[Path, Origin]]:
    """Return name -> folder and origin; a user's adapter that clashes with the zoo gets "-added"."""
    found: dict[str, tuple[Path, Origin]] = {}
    for path in _subfolders(app_root() / "assets" / "zoo"):
        found[path.name] = (path, "zoo")
    for path in _subfolders(config.adapters_dir):
        found[path.name if path.name not in found else f"{path.name}-added"] = (path, "added")
    return found


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith((".", "_"))
    )


def _existing_folder(text: str) -> Path | None:
    """Return the folder that a text names, relative to here or to the app; None if there is none."""
    for path in (os.path.expanduser(text), os.path.join(app_root(), text)):
        if text and os.path.isdir(path):  # False, not an error, for impossible names
            return Path(path).resolve()
    return None


def _installed(name: str, path: Path, origin: Origin, limits: Limits) -> InstalledAdapter:
    facts, refusal = _checked(path, _state(path), limits)
    if facts is not None and origin == "added":
        notes = (*facts.claims.notes, *_added_notes(path))
        facts = dataclasses.replace(facts, claims=dataclasses.replace(facts.claims, notes=notes))
    return InstalledAdapter(name=name, path=str(path), origin=origin, facts=facts, refusal=refusal)


@functools.lru_cache(maxsize=64)
def _checked(path: Path, state: tuple[object, ...], limits: Limits) -> tuple[AdapterFacts | None, str | None]:
    """Read an adapter, remembered as long as nothing in its folder changes (`state` is the key)."""
    try:
        return read_adapter(path, limits).facts, None
    except AdapterRefusedError as error:
        return None, str(error)


def _state(path: Path) -> tuple[object, ...]:
    """Return what changes when anything directly in a folder is written, replaced, added or removed."""
    found = []
    try:
        with os.scandir(path) as entries:
            for _, entry in zip(range(MAX_ENTRIES + 1), entries, strict=False):
                info = entry.stat(follow_symlinks=False)
                found.append(
                    (entry.name, info.st_mode, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
                )
    except OSError:
        return (secrets.token_hex(8),)  # cannot be remembered
    return tuple(sorted(found))


def _bring(source: str | Path | BinaryIO, into: Path, config: Config) -> tuple[Path, dict[str, object]]:
    """Copy the source's files to `into`, and return it with what to remember about the source."""
    if not isinstance(source, str | Path):
        return unpack_adapter(source, into, config.limits), {"source": "upload", "notes": []}
    folder = _existing_folder(str(source))
    if folder is not None:
        inventory = take_inventory(folder)
        into.mkdir()
        for name in ADAPTER_FILES:
            if name in inventory.files:
                copy_regular(folder / name, into / name, max_bytes=file_caps(config.limits)[name])
        return into, {"source": f"folder {folder.name}", "notes": list(inventory.notes)}
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path):
        return unpack_adapter(path, into, config.limits), {"source": f"archive {path.name}", "notes": []}
    repo_id, revision = _hub_id(str(source))
    if repo_id is None:
        raise InputError(
            "unknown-source",
            f"There is no folder or zip archive at '{shown(source)}', and it is not a hub id.",
            "Give a folder, a .zip file, or a hub id such as owner/name.",
        )
    fetched = fetch_adapter(repo_id, revision, into, config.limits, cache_dir=config.cache_dir / "hub")
    notes = [f"Not fetched: {', '.join(shown(n) for n in fetched.left_out[:8])}."] if fetched.left_out else []
    return into, {"source": f"hub {repo_id} at commit {fetched.commit}", "notes": notes}


def _hub_id(text: str) -> tuple[str | None, str | None]:
    """Split "hf:owner/name@revision"; where the first part is a folder here, it is a mistyped path."""
    explicit = text.startswith("hf:")
    repo_id, _, revision = text.removeprefix("hf:").partition("@")
    if not is_repo_id(repo_id) or (not explicit and os.path.exists(repo_id.split("/")[0])):
        return None, None
    return repo_id, revision or None


def _added_notes(path: Path) -> tuple[str, ...]:
    try:
        added = parse_claims(read_small(path / ADDED_FILE, max_bytes=MAX_JSON_BYTES))
    except LorabenchError:
        return ()
    notes = added.get("notes")
    kept = [shown(note, limit=600) for note in notes[:16]] if isinstance(notes, list) else []
    return (f"Added from {shown(added.get('source'), limit=200)}.", *kept)


def _default_name(source: str | Path | BinaryIO) -> str:
    if not isinstance(source, str | Path):
        raise InputError("bad-name", "An uploaded adapter has no name.", "Give it one.")
    text = str(source).removeprefix("hf:").rstrip("/")
    last = Path(text).name or Path(text).resolve().name
    return last.partition("@")[0].removesuffix(".zip")


def _clean_name(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", ascii_text)[:_MAX_NAME].strip("-")
    if not name:
        raise InputError(
            "bad-name", f"'{shown(text)}' gives no usable name.", "Use letters a-z, digits and '-'."
        )
    return name
