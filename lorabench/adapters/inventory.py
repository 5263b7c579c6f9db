"""What lies in an adapter's folder, by name: nothing is opened, no link is followed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorabench.adapters.problems import OnProblem, raised
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
CODE = (
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


_LEFTOVERS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.bin", "scheduler.pt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a folder, as the folder's list gives it; nothing was opened.

    Attributes:
        name: Relative, with "/" between folders; untrusted text.
        kind: "file", "folder", "link", or "special" for pipes, devices and sockets.
        n_bytes: Size of a file; None for the others.
        target: Where a link points, as text; None for the others.
    """

    name: str
    kind: Literal["file", "folder", "link", "special"]
    n_bytes: int | None = None
    target: str | None = None


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
    return check_inventory(folder, list_entries(folder))


def check_inventory(folder: Path, entries: tuple[Entry, ...], on_problem: OnProblem = raised) -> Inventory:
    """Check the names in a folder.

    Args:
        folder: The folder.
        entries: What `list_entries` found in it.
        on_problem: Is told each problem.
    """
    names = [entry.name for entry in entries if entry.kind != "folder"]
    links = [entry.name for entry in entries if entry.kind == "link"]
    check_weight_names(names, on_problem)
    for wanted in (CONFIG_FILE, WEIGHTS_FILE):
        if wanted not in names:
            on_problem(not_an_adapter(f"The folder {shown(folder.name)} has no {wanted}."), wanted)
    return Inventory(files=tuple(names), notes=tuple(_notes(names, links)))


def check_weight_names(names: list[str], on_problem: OnProblem = raised) -> None:
    """Report names that let two loaders take different weights, or that stand for pickles.

    Args:
        names: All file names.
        on_problem: Is told each problem: rules "pickle-weights" and "several-weight-files".
    """
    pickles = [name for name in names if name.lower().endswith(PICKLES)]
    for name in pickles:
        on_problem(
            AdapterRefusedError(
                "pickle-weights",
                f"The adapter has the file '{shown(name)}', which is or may be a Python pickle; "
                "opening one can run any program, so lorabench never does.",
                "If it holds the weights, re-save the adapter as safetensors with PEFT "
                "(save_pretrained(..., safe_serialization=True)); then delete it: nothing here needs it.",
            ),
            name,
        )
    weights = weight_names(names)
    if len(weights) > 1:
        on_problem(
            AdapterRefusedError(
                "several-weight-files",
                f"The adapter has {len(weights)} weight files ('{shown(weights[0])}', "
                f"'{shown(weights[1])}', ...), so two programs may load different ones.",
                f"Keep only {WEIGHTS_FILE} in a folder of its own.",
            ),
            weights[1],
        )


def weight_names(names: list[str]) -> list[str]:
    """Return the names that some loader would take weights from, pickles among them."""
    return [
        name
        for name in names
        if name.lower().endswith(OTHER_WEIGHTS)
        or (name.lower().endswith(PICKLES) and name.rsplit("/", 1)[-1].lower() not in _LEFTOVERS)
    ]


def kind_of(name: str) -> str:
    """Return what a file is by its name: a kind of `ScannedFile`."""
    base = name.rsplit("/", 1)[-1].lower()
    known = {CONFIG_FILE: "config", CLAIMS_FILE: "claims", CARD_FILE: "card", HEAD_FILE: "head"}
    if name in known:
        return known[name]
    for kind, endings in (
        ("pickle", PICKLES),
        ("weights", OTHER_WEIGHTS),
        ("code", CODE),
        ("archive", ARCHIVES),
    ):
        if base.endswith(endings):
            return kind
    return "tokenizer" if base.startswith(_TOKENIZER) or base.endswith(".jinja") else "other"


def not_an_adapter(problem: str) -> AdapterRefusedError:
    """Return the error for a folder that holds no adapter."""
    return AdapterRefusedError(
        "not-an-adapter",
        problem,
        f"Choose a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, as saved by PEFT's save_pretrained.",
    )


def list_entries(
    folder: Path, *, max_entries: int = MAX_ENTRIES, on_problem: OnProblem = raised
) -> tuple[Entry, ...]:
    """List a folder recursively, folders among the entries, sorted by name.

    Args:
        folder: The folder.
        max_entries: Where listing stops.
        on_problem: Is told of more than `MAX_ENTRIES` or very deep entries (rule "too-many-files")
            and of folders that cannot be listed (rule "unreadable-file").

    Raises:
        AdapterRefusedError: Rule "not-an-adapter": it is no folder.
    """
    if not folder.is_dir():
        raise not_an_adapter(f"{shown(folder.name)} is not a folder.")
    found: list[Entry] = []
    pending = [(folder, "")]
    too_many = False
    while pending and len(found) < max_entries + 1:
        current, prefix = pending.pop()
        try:
            with os.scandir(current) as listing:
                for item in listing:
                    entry = _entry(item, prefix + item.name)
                    is_deep = entry.name.count("/") > MAX_DEPTH
                    if not too_many and (is_deep or len(found) >= MAX_ENTRIES):
                        too_many = True
                        on_problem(_too_many(folder), prefix)
                    if len(found) >= max_entries:
                        return tuple(sorted(found, key=lambda e: e.name))
                    found.append(entry)
                    if entry.kind == "folder" and not is_deep:
                        pending.append((Path(item.path), entry.name + "/"))
        except OSError as error:
            refusal = AdapterRefusedError(
                "unreadable-file",
                f"The folder {shown(current.name)} cannot be listed ({shown(error.strerror)}).",
                "Check its permissions.",
            )
            refusal.__cause__ = error
            on_problem(refusal, prefix)
    return tuple(sorted(found, key=lambda e: e.name))


def _entry(item: os.DirEntry[str], name: str) -> Entry:
    """Describe one entry by lstat; a link's target is read as text and never followed."""
    if item.is_symlink():
        return Entry(name=name, kind="link", target=os.readlink(item.path))
    mode = item.stat(follow_symlinks=False)
    if stat.S_ISDIR(mode.st_mode):
        return Entry(name=name, kind="folder")
    if stat.S_ISREG(mode.st_mode):
        return Entry(name=name, kind="file", n_bytes=mode.st_size)
    return Entry(name=name, kind="special")


def _too_many(folder: Path) -> AdapterRefusedError:
    return AdapterRefusedError(
        "too-many-files",
        f"{shown(folder.name)} has more than {MAX_ENTRIES} entries, or very deep ones.",
        f"Copy {', '.join(ADAPTER_FILES)} into a folder of their own.",
    )


def _notes(names: list[str], links: list[str]) -> list[str]:
    sentences = {"code": "Code files, never run", "archive": "Archives, not opened"}
    sentences |= {"tokenizer": "Tokenizer files, never loaded"}
    groups: dict[str, list[str]] = {}
    for name in names:
        if name in (*ADAPTER_FILES, ADDED_FILE):
            continue
        kind = sentences.get(kind_of(name), "Other files, not read")
        groups.setdefault("Symbolic links, not followed" if name in links else kind, []).append(name)
    return [
        f"{kind}: {', '.join(shown(n) for n in found[:8])}{', ...' if len(found) > 8 else ''}."
        for kind, found in sorted(groups.items())
    ]
