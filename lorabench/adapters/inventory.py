"""What lies in an adapter's folder, by name: nothing is opened, no link is followed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CLAIMS_FILE = "lorabench.json"
CARD_FILE = "README.md"
ADDED_FILE = "added.json"  # written by lorabench beside an adapter that a user added
HEAD_FILE = "head.json"  # the classification head of an adapter that lorabench trained
ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE, CLAIMS_FILE, CARD_FILE, HEAD_FILE)

MAX_ENTRIES = 64
MAX_DEPTH = 6
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".dill")
OTHER_WEIGHTS = (
    ".safetensors",
    ".gguf",
    ".ggml",
    ".h5",
    ".hdf5",
    ".keras",
    ".onnx",
    ".msgpack",
    ".tflite",
    ".pb",
)
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar", ".whl")
_CODE = (
    ".py",
    ".pyc",
    ".pyd",
    ".ipynb",
    ".so",
    ".dll",
    ".dylib",
    ".exe",
    ".sh",
    ".bat",
    ".cmd",
    ".ps1",
    ".js",
)
_TOKENIZER = ("tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "chat_template", "spiece")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The names in a folder that passed the checks.

    Attributes:
        files: Relative names of all entries, sorted.
        notes: Sentences about what is there but never loaded.
    """

    files: tuple[str, ...]
    notes: tuple[str, ...]


def take_inventory(folder: Path) -> Inventory:
    """List a folder recursively and refuse one that does not hold exactly one safetensors adapter.

    Raises:
        AdapterRefusedError: Rules "not-an-adapter", "too-many-files", "pickle-weights",
            "several-weight-files" and "unreadable-file".
    """
    if not folder.is_dir():
        raise not_an_adapter(f"{shown(folder.name)} is not a folder.")
    names, links = _walk(folder)
    check_weight_names(names)
    for wanted in (CONFIG_FILE, WEIGHTS_FILE):
        if wanted not in names:
            raise not_an_adapter(f"The folder {shown(folder.name)} has no {wanted}.")
    return Inventory(files=tuple(names), notes=tuple(_notes(names, links)))


def check_weight_names(names: list[str]) -> None:
    """Refuse names that let two loaders take different weights, or that stand for pickles.

    Raises:
        AdapterRefusedError: Rules "pickle-weights" and "several-weight-files".
    """
    pickles = [name for name in names if name.lower().endswith(PICKLES)]
    if pickles:
        raise AdapterRefusedError(
            "pickle-weights",
            f"The adapter has the file '{shown(pickles[0])}', which is or may be a Python pickle; "
            "opening one can run any program, so lorabench never does.",
            "If it holds the weights, re-save the adapter as safetensors with PEFT "
            "(save_pretrained(..., safe_serialization=True)); then delete it: nothing here needs it.",
        )
    weights = [name for name in names if name.lower().endswith(OTHER_WEIGHTS)]
    if len(weights) > 1:
        raise AdapterRefusedError(
            "several-weight-files",
            f"The adapter has {len(weights)} weight files ('{shown(weights[0])}', '{shown(weights[1])}', "
            "...), so two programs may load different ones.",
            f"Keep only {WEIGHTS_FILE} in a folder of its own.",
        )


def not_an_adapter(problem: str) -> AdapterRefusedError:
    """Return the error for a folder that holds no adapter."""
    return AdapterRefusedError(
        "not-an-adapter",
        problem,
        f"Choose a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, as saved by PEFT's save_pretrained.",
    )


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted names of all entries that are no folders, and those that are links."""
    names: list[str] = []
    links: list[str] = []
    n_entries = 0
    pending = [(folder, "")]
    while pending:
        current, prefix = pending.pop()
        try:
            with os.scandir(current) as found:
                for entry in found:
                    n_entries += 1
                    name = prefix + entry.name
                    if n_entries > MAX_ENTRIES or name.count("/") > MAX_DEPTH:
                        raise AdapterRefusedError(
                            "too-many-files",
                            f"{shown(folder.name)} has more than {MAX_ENTRIES} entries, or very deep ones.",
                            f"Copy {', '.join(ADAPTER_FILES)} into a folder of their own.",
                        )
                    if entry.is_symlink():
                        links.append(name)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((Path(entry.path), name + "/"))
                    else:
                        names.append(name)
        except OSError as error:
            raise AdapterRefusedError(
                "unreadable-file",
                f"The folder {shown(current.name)} cannot be listed ({shown(error.strerror)}).",
                "Check its permissions.",
            ) from error
    return sorted(names), sorted(links)


def _notes(names: list[str], links: list[str]) -> list[str]:
    others = [name for name in names if name not in (*ADAPTER_FILES, ADDED_FILE)]
    groups: dict[str, list[str]] = {}
    for name in others:
        base = name.rsplit("/", 1)[-1].lower()
        if name in links:
            kind = "Symbolic links, not followed"
        elif base.endswith(_CODE):
            kind = "Code files, never run"
        elif base.endswith(ARCHIVES):
            kind = "Archives, not opened"
        elif base.startswith(_TOKENIZER):
            kind = "Tokenizer files, never loaded"
        else:
            kind = "Other files, not read"
        groups.setdefault(kind, []).append(name)
    return [
        f"{kind}: {', '.join(shown(n) for n in found[:8])}{', ...' if len(found) > 8 else ''}."
        for kind, found in sorted(groups.items())
    ]
