"""Fetch base models from a model hub: pinned to a commit, checked, resumable."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError
from lorabench.models.base_files import EXTRAS, WEIGHTS, check_configs, check_names
from lorabench.models.registry import BaseSpec
from lorabench.models.wheel import OnProgress

_ATTEMPTS = 5  # tries in a row that bring no new byte
_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a hub repository at one commit.

    Attributes:
        name: Plain file name.
        n_bytes: Exact size.
        sha256: For large files: of the content.
        blob_id: For small files: git's sha1 of the content.
    """

    name: str
    n_bytes: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBase:
    """A hub repository at one commit: the files that will be fetched.

    Attributes:
        repo: "owner/name".
        commit: 40 hexadecimal digits.
        licence: As stated by the repository, or None.
        files: Weights last, so that a refusal of the config comes before them.
    """

    repo: str
    commit: str
    licence: str | None
    files: tuple[RemoteFile, ...]


def look_up(spec: BaseSpec, revision: str | None, endpoint: str | None) -> RemoteBase:
    """Resolve a revision to a commit and choose the files to fetch.

    Args:
        spec: A spec of kind "hub".
        revision: Branch, tag or commit; None takes the spec's pin, else the default branch.
        endpoint: Another hub address than the user's own setting.

    Raises:
        BaseModelError: If the hub cannot be reached, does not know the repository or revision,
            or the repository has no usable weights.
    """
    from huggingface_hub import HfApi

    repo = spec.repo or spec.base_id
    no_answer: tuple[type[Exception], ...] = (*_network_errors(), ValueError, KeyError, TypeError)
    try:
        info = HfApi(endpoint=endpoint).model_info(
            repo, revision=revision or spec.revision, files_metadata=True, timeout=30
        )
    except no_answer as error:
        raise _hub_error(repo, error) from error
    commit = info.sha or ""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise BaseModelError(
            "hub-commit", f"The hub named no commit for {repo!r}.", "Check the hub address and try again."
        )
    siblings = info.siblings or []
    names = {sibling.rfilename for sibling in siblings}
    check_names(names, repo)
    files = []
    for sibling in siblings:
        if not (WEIGHTS.fullmatch(sibling.rfilename) or sibling.rfilename in EXTRAS):
            continue
        if sibling.size is None:
            raise BaseModelError(
                "hub-commit",
                f"The hub gave no size for {sibling.rfilename!r} of {repo!r}.",
                "Check the hub address and try again.",
            )
        lfs: Any = sibling.lfs
        files.append(
            RemoteFile(
                name=sibling.rfilename,
                n_bytes=sibling.size,
                sha256=lfs["sha256"] if lfs else None,
                blob_id=None if lfs else sibling.blob_id,
            )
        )
    card: Any = info.card_data
    licence = card.get("license") if card else None
    return RemoteBase(
        repo=repo,
        commit=commit,
        licence=licence if isinstance(licence, str) else None,
        files=tuple(sorted(files, key=lambda file: (bool(WEIGHTS.fullmatch(file.name)), file.name))),
    )


def download(
    remote: RemoteBase, folder: Path, endpoint: str | None, on_progress: OnProgress, spec: BaseSpec
) -> None:
    """Fetch all files of a repository at its commit into a folder, checking each against its digest.

    Files that are already there with the right digest are kept, and a file that was cut short is
    resumed, also after a crash. The config is checked before the first weights are fetched.

    Args:
        remote: What to fetch.
        folder: Existing folder that belongs to this commit alone.
        endpoint: Another hub address than the user's own setting.
        on_progress: Told about every chunk.
        spec: What is expected of the config.

    Raises:
        BaseModelError: If the connection failed for good, a file is not what the hub announced,
            or the config is refused.
    """
    total = sum(file.n_bytes for file in remote.files)
    done, is_checked = 0, False
    for file in remote.files:
        if WEIGHTS.fullmatch(file.name) and not is_checked:
            check_configs(folder, spec)
            is_checked = True
        _fetch(remote, file, folder, endpoint, _counter(on_progress, done, total, file.name))
        done += file.n_bytes


def _counter(on_progress: OnProgress, before: int, total: int, name: str) -> Callable[[int], None]:
    return lambda n_bytes: on_progress(before + n_bytes, total, f"Downloading {name}")


def _fetch(
    remote: RemoteBase,
    file: RemoteFile,
    folder: Path,
    endpoint: str | None,
    progress: Callable[[int], None],
) -> None:
    """Bring one file to its place; `progress` is told how many of its bytes are here."""
    final, partial = folder / file.name, folder / f"{file.name}.part"
    if final.is_file() and _is_intact(final, file):
        progress(file.n_bytes)
        return
    failures = 0
    while not partial.is_file() or partial.stat().st_size < file.n_bytes:
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            _transfer(remote, file, partial, before, endpoint, progress)
        except _network_errors() as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the network
            grew = partial.is_file() and partial.stat().st_size > before
            failures = 1 if grew else failures + 1
            if failures >= _ATTEMPTS or not _may_pass(error):
                raise _hub_error(remote.repo, error) from error
            time.sleep(_WAIT_SECONDS * 2 ** (failures - 1))
        else:
            break
    if not _is_intact(partial, file):
        partial.unlink()
        raise _wrong_content(remote, file)
    partial.replace(final)


def _transfer(
    remote: RemoteBase,
    file: RemoteFile,
    partial: Path,
    have: int,
    endpoint: str | None,
    progress: Callable[[int], None],
) -> None:
    # hf_hub_download of huggingface_hub 2.x starts a cut file from 0 again in a later call; its own
    # resumable transfer does not, given a file that stays. Our lock keeps other processes off it.
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    class Progress:
        """As much of a tqdm bar as the transfer uses; draws nothing."""

        def __init__(self, *args: Any, initial: int = 0, **kwargs: Any) -> None:
            self.n = initial

        def __enter__(self) -> Progress:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def update(self, n: int = 1) -> None:
            self.n += n
            if self.n > file.n_bytes:  # endless data would fill the disk
                raise _wrong_content(remote, file)
            progress(self.n)

    bar: Any = Progress
    with partial.open("ab") as out:
        http_get(
            hf_hub_url(remote.repo, file.name, revision=remote.commit, endpoint=endpoint),
            out,
            resume_size=have,
            headers=build_hf_headers(),
            expected_size=file.n_bytes,
            displayed_filename=file.name,
            tqdm_class=bar,
            _nb_retries=0,
        )


def _network_errors() -> tuple[type[Exception], ...]:
    """Everything the hub client raises when the other side or the way there fails."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

    return (HTTPError, OfflineModeIsEnabled, OSError)


def _may_pass(error: Exception) -> bool:
    """Whether trying again can help: a broken connection or a server's own trouble."""
    response = getattr(error, "response", None)
    return response is None or response.status_code >= 500


def _wrong_content(remote: RemoteBase, file: RemoteFile) -> BaseModelError:
    return BaseModelError(
        "hub-digest",
        f"{file.name!r} of {remote.repo!r} is not the file that the hub announced.",
        "Pull again; if it happens twice, a proxy or mirror is changing the file.",
    )


def _is_intact(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.n_bytes:
        return False
    with path.open("rb") as content:
        if file.sha256:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
        if file.blob_id:
            digest = hashlib.sha1(b"blob %d\0" % file.n_bytes, usedforsecurity=False)
            digest.update(content.read())
            return digest.hexdigest() == file.blob_id
    return True


def _hub_error(repo: str, error: Exception) -> BaseModelError:
    """Translate what the hub client raises into what happened and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return BaseModelError(
            "hub-gated",
            f"The model {repo!r} is only given out after its conditions were accepted.",
            f"Accept them at https://huggingface.co/{repo}, run `hf auth login`, and pull again.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return BaseModelError(
            "hub-revision", f"The model {repo!r} has no such revision.", "Check the branch, tag or commit."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return BaseModelError(
            "hub-not-found",
            f"The hub knows no model {repo!r} that you may read.",
            "Check the spelling; for a private model run `hf auth login` first.",
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return BaseModelError(
            "hub-offline",
            f"{repo!r} is not on this machine, and HF_HUB_OFFLINE forbids fetching it.",
            "Unset HF_HUB_OFFLINE, or give a local folder with the model.",
        )
    response = getattr(error, "response", None)
    if response is not None:
        what = f"answered with status {response.status_code}"
    elif isinstance(error, ValueError | KeyError | TypeError):
        what = "gave an answer that is not a model hub's"
    else:
        what = "cannot be reached"
    return BaseModelError(
        "hub-unreachable",
        f"The model hub {what} while fetching {repo!r} ({type(error).__name__}).",
        "Check the connection and pull again: finished parts are kept. Without a hub, use the "
        "demo base (`lorabench models pull demo`) or a local folder.",
    )
