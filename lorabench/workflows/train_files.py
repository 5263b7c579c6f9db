"""The files and folders that a training names: found, made absolute, read and digested."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lorabench.data import TASKS
from lorabench.data.sources import names_a_file
from lorabench.data.token_sources import token_file, with_token_file
from lorabench.errors import InputError
from lorabench.models.registry import spec_for
from lorabench.workflows.train_request import TrainRequest


def files_of(request: TrainRequest) -> dict[str, Path]:
    """Return the files that a request names and that are there, absolute, by the flat name of the option."""
    given = {
        "data": request.data.data if names_a_file(request.data.data) else None,
        "test_data": request.data.test_data,
        "task": request.task if request.task not in TASKS else None,
        "token": token_file(request.recipe.token),
    }
    return {name: Path(text).absolute() for name, text in given.items() if text and Path(text).is_file()}


def file_options(request: TrainRequest, files: Mapping[str, Path]) -> dict[str, str]:
    """Return the options of a request that name files, with other files, as `with_values` takes them."""
    found = {name: str(path) for name, path in files.items()}
    if "token" in found:
        found["token"] = with_token_file(request.recipe.token, found["token"])
    return found


def settled_options(request: TrainRequest) -> dict[str, str]:
    """Return base and files of a request so that they mean the same in every working folder.

    Raises:
        InputError: If the base's name is not understood.
        BaseModelError: If the base is a folder that is missing.
    """
    base = spec_for(request.model.base).base_id
    return {"base": base, **file_options(request, files_of(request))}


def file_digests(request: TrainRequest) -> dict[str, str]:
    """Return the sha256 of every file that a request names, by the flat name of the option.

    Raises:
        InputError: If one cannot be read.
    """
    return {name: hashlib.sha256(read_file(path)).hexdigest() for name, path in files_of(request).items()}


def read_file(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            "unreadable-file", f"The file {path.name!r} cannot be read ({error.strerror}).", "Check the path."
        ) from error
