"""The base models on this machine: where they are, what they are, whether they are intact."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from lorabench.config import Config
from lorabench.errors import BaseModelError, InputError, LorabenchError
from lorabench.models.base_files import check_folder, has_chat_template
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.manifest import Manifest, is_complete, read_manifest, record_files
from lorabench.models.registry import BASES, BaseSpec, spec_for
from lorabench.models.storage import locked_base, storage_errors
from lorabench.results.adapters import InstalledBase

PARTIAL = ".partial-"
"""Prefix of the folder of an unfinished hub download: kept, so that it can be resumed."""

SCRATCH = ".scratch-"
"""Prefix of a folder that is of no use once its process is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """A base model on disk, compared with what was recorded when it was fetched.

    Attributes:
        base_id: Which base.
        expected_fingerprint: Of the record, or pinned in the registry; None for a folder of the
            user's own, of which nothing was recorded.
        found_fingerprint: Recomputed; None if the weights cannot be read.
        missing: Recorded files that are not there.
        changed: Recorded files whose size or sha256 differs.
        unexpected: Files that were not recorded.
    """

    base_id: str
    expected_fingerprint: str | None
    found_fingerprint: str | None
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether nothing differs."""
        same = self.found_fingerprint is not None and self.expected_fingerprint in (
            None,
            self.found_fingerprint,
        )
        return same and not (self.missing or self.changed or self.unexpected)


def base_folder(spec: BaseSpec, config: Config) -> Path:
    """Return where a fetched base lives, whether it is there or not."""
    return config.bases_dir / spec.folder_name


def installed_manifest(spec: BaseSpec, config: Config) -> Manifest | None:
    """Return the record of a fetched base, or None; one of another base does not count.

    (On a file system that ignores case, "A/b" and "a/B" would share a folder.)
    """
    manifest = read_manifest(base_folder(spec, config))
    return manifest if manifest is not None and manifest.base_id == spec.base_id else None


def resolve(base_id: str, config: Config) -> Path:
    """Return the folder of a base model that is ready for loading; never uses the network.

    Args:
        base_id: A known base, a hub id, or a folder.
        config: Where bases live.

    Raises:
        BaseModelError: If it is not there ("base-missing"), incomplete, or refused.
    """
    spec = spec_for(base_id)
    if spec.folder is not None:
        check_folder(spec.folder, spec)
        return spec.folder
    folder = base_folder(spec, config)
    manifest = installed_manifest(spec, config)
    if manifest is None:
        raise _missing(base_id)
    is_pinned = spec.fingerprint in (None, manifest.fingerprint)
    if not (is_pinned and is_complete(folder, manifest)) or (folder / "adapter_config.json").exists():
        raise BaseModelError(
            "base-incomplete",
            f"The base model {base_id!r} on this machine is incomplete, changed, or of another version.",
            f"Run `lorabench models remove {shlex.quote(base_id)}`, then `{_pull_command(base_id)}`.",
        )
    return folder


def base_fingerprint(base_id: str, config: Config) -> str:
    """Return the fingerprint of a base that is there: the recorded one, or computed for a folder.

    Raises:
        BaseModelError: If it is not there or cannot be read.
    """
    folder = resolve(base_id, config)
    spec = spec_for(base_id)
    manifest = None if spec.kind == "folder" else installed_manifest(spec, config)
    return manifest.fingerprint if manifest else fingerprint_folder(folder)


def verify(base_id: str, config: Config) -> VerifyReport:
    """Read every byte of a base model again and compare it with the record and the registry.

    Raises:
        BaseModelError: If the base is not there at all.
    """
    spec = spec_for(base_id)
    if spec.folder is not None:
        check_folder(spec.folder, spec)
        found = fingerprint_folder(spec.folder)
        return VerifyReport(base_id=spec.base_id, expected_fingerprint=None, found_fingerprint=found)
    folder = base_folder(spec, config)
    manifest = installed_manifest(spec, config)
    if manifest is None:
        raise _missing(base_id)
    records = record_files(folder)
    try:
        fingerprint = fingerprint_folder(folder)
    except BaseModelError:
        fingerprint = None
    expected = manifest.files
    return VerifyReport(
        base_id=base_id,
        expected_fingerprint=spec.fingerprint or manifest.fingerprint,
        found_fingerprint=fingerprint,
        missing=tuple(sorted(expected.keys() - records.keys())),
        changed=tuple(sorted(n for n in expected.keys() & records.keys() if expected[n] != records[n])),
        unexpected=tuple(sorted(records.keys() - expected.keys())),
    )


def remove(base_id: str, config: Config) -> bool:
    """Delete a fetched base model and any unfinished download of it; a user's folder is never deleted.

    Returns:
        Whether there was anything to delete.

    Raises:
        InputError: If `base_id` is a folder.
    """
    spec = spec_for(base_id)
    if spec.kind == "folder":
        raise InputError(
            "not-fetched",
            f"{base_id!r} is your own folder; lorabench did not fetch it.",
            "Delete it yourself if you no longer need it.",
        )
    if not config.bases_dir.is_dir():
        return False
    with (
        storage_errors(config.bases_dir),
        locked_base(config.bases_dir, spec, lambda done, total, text: None),
    ):
        folders = [base_folder(spec, config)]
        for prefix in (PARTIAL, SCRATCH):
            folders += config.bases_dir.glob(f"{prefix}{spec.folder_name}@*")
        present = [folder for folder in folders if folder.is_dir()]
        for folder in present:
            shutil.rmtree(folder)
    return bool(present)


def list_bases(config: Config) -> tuple[InstalledBase, ...]:
    """Return the known bases in registry order, then every other hub base that was fetched.

    Reads only the small records, never weights. A base whose record cannot be read counts as absent.
    """
    ids = list(BASES)
    if config.bases_dir.is_dir():
        for folder in sorted(config.bases_dir.iterdir()):
            other = folder.name.replace("--", "/")
            if not folder.name.startswith(".") and other not in BASES and folder.is_dir():
                try:
                    manifest = read_manifest(folder)
                    if manifest is not None and spec_for(manifest.base_id).folder_name == folder.name:
                        ids.append(manifest.base_id)
                except LorabenchError:
                    continue
    return tuple(describe(base_id, config) for base_id in ids)


def describe(base_id: str, config: Config) -> InstalledBase:
    """Return what is known about one base model, present or not.

    The fingerprint of a user's own folder is not computed here: see `base_fingerprint`.
    """
    spec = spec_for(base_id)
    if spec.folder is not None:
        sizes = [path.stat().st_size for path in spec.folder.glob("*.safetensors")]
        return InstalledBase(
            base_id=spec.base_id,
            title=spec.title,
            source=spec.source,
            licence=spec.licence,
            n_bytes=sum(sizes) or None,
            is_present=bool(sizes),
            fingerprint=None,
            chat_template="own" if has_chat_template(spec.folder) else "none",
        )
    folder = base_folder(spec, config)
    try:
        manifest = installed_manifest(spec, config)
    except BaseModelError:
        manifest = None
    if manifest is None or not is_complete(folder, manifest):
        return InstalledBase(
            base_id=base_id,
            title=spec.title,
            source=spec.source,
            licence=spec.licence,
            n_bytes=spec.n_bytes,
            is_present=False,
            fingerprint=None,
            chat_template=spec.chat_template or "none",
        )
    return InstalledBase(
        base_id=base_id,
        title=manifest.title,
        source=manifest.source,
        licence=manifest.licence,
        n_bytes=manifest.n_bytes,
        is_present=True,
        fingerprint=manifest.fingerprint,
        chat_template=manifest.chat_template,
    )


def _missing(base_id: str) -> BaseModelError:
    return BaseModelError(
        "base-missing",
        f"The base model {base_id!r} is not on this machine.",
        f"Run `{_pull_command(base_id)}`.",
    )


def _pull_command(base_id: str) -> str:
    return f"lorabench models pull {shlex.quote(base_id)}"
