"""What the names in a folder, and the first bytes of its files, say."""

from __future__ import annotations

from pathlib import Path

from lorabench.adapters.book import FindingBook
from lorabench.adapters.inventory import (
    ADAPTER_FILES,
    ADDED_FILE,
    PICKLES,
    WEIGHTS_FILE,
    Entry,
    kind_of,
    weight_names,
)
from lorabench.adapters.probe import link_leaves, probe_file
from lorabench.adapters.text import shown
from lorabench.results.findings import Fact, Finding

_MODEL_CONFIGS = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
)
_REMEDY = "Keep config and weights in a folder of their own."


def note_entries(folder: Path, entries: tuple[Entry, ...], book: FindingBook) -> None:
    """Report links, pipes, code, archives and files that are not what they are called.

    Args:
        folder: The folder.
        entries: Everything in it.
        book: Takes what is found.
    """
    others = []
    for entry in entries:
        if entry.kind == "link":
            _note_link(entry, book)
        elif entry.kind == "special":
            sentence = f"'{shown(entry.name)}' is a pipe, device or socket; it was not opened."
            book.note("special-file", sentence, where=entry.name, changes="Do not use this folder.")
        elif entry.kind == "file":
            probe_file(folder / entry.name, entry.name, entry.n_bytes or 0, book)
            is_noted = _note_name(entry, book)
            if (
                not is_noted
                and kind_of(entry.name) == "other"
                and entry.name not in (*ADAPTER_FILES, ADDED_FILE)
            ):
                others.append(entry.name)
    if others:
        facts = (Fact(name="files", value=shown(", ".join(others), limit=1_000)),)
        said = "1 other file was" if len(others) == 1 else f"{len(others):,} other files were"
        book.note("other-file", f"{said} listed and not read.", facts=facts)


def _note_name(entry: Entry, book: FindingBook) -> bool:
    """Report code, archives and model configs by their names; return whether it was one."""
    named, kind = shown(entry.name), kind_of(entry.name)
    if kind == "code":
        sentence = f"There is the code file '{named}'; it was not run."
        book.note("code-file", sentence, where=entry.name, changes=_REMEDY)
    elif kind == "archive":
        sentence = f"There is the archive '{named}'; it was not opened."
        book.note("archive-file", sentence, where=entry.name, changes=_REMEDY)
    elif entry.name.rsplit("/", 1)[-1].lower() in _MODEL_CONFIGS:
        sentence = f"There is a model's '{named}', which loaders read; it was not used."
        book.note("base-config-file", sentence, where=entry.name, changes=_REMEDY)
    else:
        return False
    return True


def _note_link(entry: Entry, book: FindingBook) -> None:
    leaves = link_leaves(entry.name, entry.target or "")
    book.note(
        "symlink",
        f"'{shown(entry.name)}' is a symbolic link{' that leads out of the folder' if leaves else ''}; "
        "it was not followed.",
        where=entry.name,
        changes="Copy the real files into a folder of their own, for instance with cp -rL.",
        facts=(Fact(name="target", value=shown(entry.target, limit=300)),),
    )


def left_out_findings(names: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return findings about files of an archive or a repository that were not taken over.

    Args:
        names: Their names; nothing else is known of them.
    """
    book = FindingBook()
    for name in names:
        entry = Entry(name=name, kind="file")
        if not _note_name(entry, book) and kind_of(name) == "tokenizer":
            sentence = f"The tokenizer file '{shown(name)}' was left behind and not compared."
            book.note("tokenizer-not-compared", sentence, where=name)
    return book.findings()


def note_loaders(names: list[str], book: FindingBook) -> None:
    """Report several weight files, and say which of them each loader would take.

    PEFT looks for adapter_model.safetensors, then for adapter_model.bin; other programs take what
    they are pointed at.
    """
    weights = weight_names(names)
    at_root = [name for name in weights if name in (WEIGHTS_FILE, "adapter_model.bin")]
    first = WEIGHTS_FILE if WEIGHTS_FILE in at_root else (at_root or ["none of them"])[0]
    without = "adapter_model.bin" if "adapter_model.bin" in at_root else "none of them"
    others = [name for name in weights if name not in at_root]
    facts = [
        Fact(name="PEFT, from this folder", value=first),
        Fact(name="PEFT, told not to use safetensors", value=without),
        Fact(name="lorabench", value=WEIGHTS_FILE if WEIGHTS_FILE in names else "none of them"),
    ]
    if others:
        facts.append(Fact(name="programs pointed at them", value=shown(", ".join(others), limit=500)))
    n_pickles = sum(name.lower().endswith(PICKLES) for name in weights)
    book.note(
        "several-weight-files",
        f"The folder has {len(weights)} files that some loader takes weights from, {n_pickles} of them "
        "pickles by name; two programs may load different ones.",
        where="the folder",
        changes=f"Keep only {WEIGHTS_FILE} in a folder of its own.",
        facts=tuple(facts),
    )
