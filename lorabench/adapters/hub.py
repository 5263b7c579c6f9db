"""An adapter from a model hub: the allowed files of one pinned commit, and nothing else."""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabench.adapters.archive import file_caps
from lorabench.adapters.files import copy_regular, staged_folder
from lorabench.adapters.inventory import ADAPTER_FILES, CONFIG_FILE, PICKLES, WEIGHTS_FILE, not_an_adapter
from lorabench.adapters.text import shown
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError, InputError, LorabenchError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_log = logging.getLogger(__name__)
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedAdapter:
    """What was fetched, pinned.

    Attributes:
        path: Folder that now holds the files.
        repo_id: The hub's "owner/name".
        commit: Full commit hash that the revision stood for.
        left_out: Files of the repository that were not fetched.
    """

    path: Path
    repo_id: str
    commit: str
    left_out: tuple[str, ...]


def is_repo_id(text: str) -> bool:
    """Return whether a text has the form "owner/name" that hubs use."""
    return len(text) <= 96 and bool(_REPO_ID.fullmatch(text)) and "--" not in text and ".." not in text


def fetch_adapter(
    repo_id: str,
    revision: str | None,
    into: Path,
    limits: Limits | None = None,
    *,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
) -> FetchedAdapter:
    """Fetch an adapter's files into a new folder; the content is not yet checked.

    Args:
        repo_id: "owner/name" on the hub.
        revision: Branch, tag or commit; None for the default branch. It is resolved once, and
            every file comes from that commit.
        into: Folder to create; must not exist.
        limits: Bounds on size.
        endpoint: Another hub's address.
        cache_dir: Where partial downloads are kept for a later try; None keeps none.

    Raises:
        AdapterRefusedError: The repository holds no acceptable adapter.
        InputError: The id is malformed or unknown, or the hub cannot be reached.
        StorageError: Rules "disk-full" and "cannot-write".
    """
    limits = limits or Limits()
    if not is_repo_id(repo_id) or (revision is not None and not _is_revision(revision)):
        wanted = shown(repo_id if revision is None else f"{repo_id}@{revision}")
        raise InputError(
            "bad-hub-id",
            f"'{wanted}' is not a hub id.",
            "Write it as owner/name, with @revision behind it if you want a certain one.",
        )
    info = _ask_hub(repo_id, revision, endpoint)
    if info.sha is None or not _COMMIT.fullmatch(info.sha):
        raise InputError("hub-failed", f"The hub names no commit for {repo_id}.", "Try again later.")
    names = _check_files(repo_id, info, file_caps(limits))
    with (
        staged_folder(into) as staging,
        tempfile.TemporaryDirectory(dir=staging.parent, prefix=".hub.") as spare,
    ):
        for name in names:
            found = _download(repo_id, name, info.sha, endpoint, cache_dir or Path(spare))
            # The hub's cache holds links to its blobs; those are its own, so they may be followed.
            copy_regular(found.resolve(), staging / name, max_bytes=file_caps(limits)[name])
    left_out = tuple(sorted(s.rfilename for s in info.siblings or () if s.rfilename not in names))
    _log.info("fetched %s at %s", repo_id, info.sha)
    return FetchedAdapter(path=into, repo_id=repo_id, commit=info.sha, left_out=left_out)


def _is_revision(text: str) -> bool:
    return bool(_REVISION.fullmatch(text)) and ".." not in text and "//" not in text


def _ask_hub(repo_id: str, revision: str | None, endpoint: str | None) -> ModelInfo:
    from huggingface_hub import HfApi

    try:
        return HfApi(endpoint=endpoint).model_info(
            repo_id, revision=revision, files_metadata=True, timeout=20
        )
    except Exception as error:
        raise _translated(repo_id, error) from error


def _download(repo_id: str, name: str, commit: str, endpoint: str | None, cache_dir: Path) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        found = hf_hub_download(repo_id, name, revision=commit, endpoint=endpoint, cache_dir=cache_dir)
    except Exception as error:
        raise _translated(repo_id, error) from error
    return Path(found)


def _check_files(repo_id: str, info: ModelInfo, caps: dict[str, int]) -> list[str]:
    sizes = {s.rfilename: s.size or 0 for s in info.siblings or ()}
    for wanted in (CONFIG_FILE, WEIGHTS_FILE):
        if wanted in sizes:
            continue
        pickles = sorted(name for name in sizes if name.lower().endswith(PICKLES))
        if wanted == WEIGHTS_FILE and pickles:
            raise AdapterRefusedError(
                "pickle-weights",
                f"The repository {repo_id} has its weights only as '{shown(pickles[0])}', which is a "
                "Python pickle; opening one can run any program.",
                "Ask its author to save the adapter as safetensors with PEFT.",
            )
        raise not_an_adapter(f"The repository {repo_id} has no {wanted}.")
    names = [name for name in ADAPTER_FILES if name in sizes]
    for name in names:
        if sizes[name] > caps[name]:
            raise AdapterRefusedError(
                "file-too-large",
                f"The file {name} of {repo_id} has {sizes[name]:,} bytes; at most {caps[name]:,} fit.",
                "Use a smaller adapter, or raise the limit if you trust its source.",
            )
    return names


def _translated(repo_id: str, error: Exception) -> Exception:
    """Return the lorabench error for one of huggingface_hub; anything unexpected stays as it is."""
    from huggingface_hub import errors

    if isinstance(error, LorabenchError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return InputError(
            "hub-gated",
            f"The repository {repo_id} asks for a login and its owner's consent.",
            "Accept its conditions on the hub and log in with 'hf auth login'.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(
            "unknown-revision",
            f"The repository {repo_id} has no such revision.",
            "Leave the revision out, or check it.",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            "unknown-repository",
            f"The hub has no repository {repo_id}, or it is private.",
            "Check the spelling; for a private one log in with 'hf auth login'.",
        )
    if isinstance(error, errors.HfHubHTTPError | errors.FileMetadataError):
        return InputError("hub-failed", f"The hub refused {repo_id} ({shown(error)}).", "Try again later.")
    http_error = errors.HfHubHTTPError.__bases__[0]  # of httpx or httpx2, as huggingface_hub chose
    if isinstance(error, ConnectionError | errors.LocalEntryNotFoundError | http_error):
        return InputError(
            "hub-unreachable",
            f"The hub cannot be reached, so {repo_id} was not fetched.",
            "Check the network and HF_HUB_OFFLINE, or download the folder elsewhere and add it by its path.",
        )
    return error
