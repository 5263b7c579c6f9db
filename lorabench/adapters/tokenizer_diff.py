"""An adapter's tokenizer files against the base's: parsed as bounded JSON, never loaded as a tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.adapters.book import FindingBook
from lorabench.adapters.strict_json import parse_object
from lorabench.adapters.template_flags import check_template
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError
from lorabench.results.findings import Fact

MAX_TOKENIZER_BYTES = 24 * 1024**2
MAX_TOKENIZER_PARTS = 2_500_000
_MAX_DEPTH = 16
_MAX_LISTED = 20
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
_QUIET_KEYS = frozenset({"chat_template", "added_tokens_decoder"})
ReadFile = Callable[[str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerParts:
    """What matters of one tokenizer file.

    Attributes:
        tokens: Text -> id, of the vocabulary and the added tokens.
        sections: Name -> its JSON, of what treats text before and after.
        template: Chat template, or None.
    """

    tokens: dict[str, int]
    sections: dict[str, str]
    template: str | None


def check_tokenizer(names: list[str], read: ReadFile, base_folder: Path | None, book: FindingBook) -> None:
    """Compare each tokenizer file of an adapter with the base's file of the same name.

    Args:
        names: Names of the tokenizer files.
        read: Gives the bytes of one of them, bounded by `MAX_TOKENIZER_BYTES`.
        base_folder: Where the base's tokenizer files are; None if it is not known.
        book: Takes what is found.
    """
    n_same = 0
    for name in names:
        try:
            data = read(name)
        except AdapterRefusedError as error:
            book.note("tokenizer-not-compared", error.problem, where=name, changes=error.remedy)
            continue
        base_data = _base_file(base_folder, name)
        if data == base_data:
            n_same += 1
            continue
        try:
            _check_file(name, data, base_data, base_folder, book)
        except AdapterRefusedError as error:
            sentence = f"{shown(name)} could not be compared. {error.problem}"
            book.note("tokenizer-not-compared", sentence, where=name, changes=error.remedy)
    if n_same:
        sentence = f"{n_same} tokenizer {'file is' if n_same == 1 else 'files are'} byte for byte the base's."
        book.note("tokenizer-same", sentence)


def token_texts(folder: Path) -> dict[int, str]:
    """Return the texts of a trusted base's tokens by id, as its tokenizer.json writes them; empty without."""
    data = _base_file(folder, "tokenizer.json")
    if data is None:
        return {}
    try:
        return {i: text for text, i in tokenizer_parts("tokenizer.json", data).tokens.items()}
    except AdapterRefusedError:
        return {}


def _check_file(
    name: str, data: bytes, base_data: bytes | None, base_folder: Path | None, book: FindingBook
) -> None:
    if name.lower().endswith(".jinja"):
        base_text = _base_template(base_folder, name)
        check_template(data.decode("utf-8", "replace"), name, base_text, book)
        return
    if not name.lower().endswith(".json"):
        _other_file(name, base_folder, base_data, book)
        return
    ours = tokenizer_parts(name, data)
    for section, inserted in _inserted(ours.sections):
        sentence = f"The {section} of {shown(name)} puts text of its own into what people write."
        fact = Fact(name="text", value=shown(inserted, limit=300))
        book.note("tokenizer-inserts-text", sentence, where=f"{name}: {section}", facts=(fact,))
    if ours.template is not None:
        check_template(ours.template, name, _base_template(base_folder, name), book)
    if base_data is None:
        _other_file(name, base_folder, None, book)
        return
    _compare(name, ours, tokenizer_parts(name, base_data), book)


def tokenizer_parts(name: str, data: bytes) -> TokenizerParts:
    """Parse one JSON file of a tokenizer.

    Raises:
        AdapterRefusedError: Rules of `parse_object`.
    """
    content = parse_object(data, what=shown(name), max_depth=_MAX_DEPTH, max_tokens=MAX_TOKENIZER_PARTS)
    if name in ("vocab.json", "added_tokens.json"):
        return TokenizerParts(tokens=_ids(content), sections={}, template=None)
    if name == "tokenizer.json":
        model = content.get("model")
        model = model if isinstance(model, dict) else {}
        tokens = _ids(model.pop("vocab", {})) | _added(content.pop("added_tokens", []))
        merges = _digest(model.pop("merges", []))
        sections = {key: _json(content.get(key)) for key in _PIPELINE}
        sections |= {"model": _json(model), "merges": merges}
        return TokenizerParts(tokens=tokens, sections=sections, template=None)
    decoder = content.get("added_tokens_decoder")
    added = decoder if isinstance(decoder, dict) else {}
    listed = [
        v | {"id": int(k)} for k, v in added.items() if isinstance(v, dict) and k.isdecimal() and len(k) < 10
    ]
    return TokenizerParts(
        tokens=_added(listed),
        sections={k: _json(v) for k, v in content.items() if k not in _QUIET_KEYS},
        template=_template(content.get("chat_template")),
    )


def _compare(name: str, ours: TokenizerParts, base: TokenizerParts, book: FindingBook) -> None:
    added = sorted(ours.tokens.keys() - base.tokens.keys())
    removed = sorted(base.tokens.keys() - ours.tokens.keys())
    moved = sorted(t for t in ours.tokens.keys() & base.tokens.keys() if ours.tokens[t] != base.tokens[t])
    if added or removed or moved:
        book.note(
            "tokenizer-vocabulary",
            f"{shown(name)} has {len(added):,} tokens that the base's has not, lacks {len(removed):,}, "
            f"and gives {len(moved):,} another id.",
            where=name,
            changes="Use the base's tokenizer.",
            facts=(
                *_listed("added", [f"{t!r} = {ours.tokens[t]}" for t in added[:_MAX_LISTED]]),
                *_listed("removed", [f"{t!r} = {base.tokens[t]}" for t in removed[:_MAX_LISTED]]),
                *_listed(
                    "changed id",
                    [f"{t!r}: {base.tokens[t]} became {ours.tokens[t]}" for t in moved[:_MAX_LISTED]],
                ),
            ),
        )
    differing = [
        k for k in sorted({*ours.sections, *base.sections}) if ours.sections.get(k) != base.sections.get(k)
    ]
    if differing:
        facts = tuple(
            Fact(
                name=shown(key),
                value=f"base {shown(base.sections.get(key), limit=200)}; "
                f"adapter {shown(ours.sections.get(key), limit=200)}",
            )
            for key in differing[:_MAX_LISTED]
        )
        rule = "tokenizer-pipeline" if name == "tokenizer.json" else "tokenizer-file"
        sentence = f"{shown(name)} differs from the base's in {shown(', '.join(differing))}."
        book.note(rule, sentence, where=name, facts=facts, changes="Use the base's tokenizer.")


def _other_file(name: str, base_folder: Path | None, base_data: bytes | None, book: FindingBook) -> None:
    if base_folder is None:
        sentence = f"The tokenizer file {shown(name)} could not be compared: no base is at hand."
        book.note("tokenizer-not-compared", sentence, where=name, changes="Scan it with the base at hand.")
        return
    what = "differs from the base's" if base_data is not None else "has no counterpart in the base"
    book.note("tokenizer-file", f"The tokenizer file {shown(name)} {what}.", where=name)


def _base_file(folder: Path | None, name: str) -> bytes | None:
    path = None if folder is None else folder / name
    return path.read_bytes() if path is not None and path.is_file() else None


def _base_template(folder: Path | None, name: str) -> str | None:
    """Return the base's chat template: its file of that name, or the one in its tokenizer_config.json."""
    if folder is None:
        return None
    for candidate in (name, "chat_template.jinja"):
        data = _base_file(folder, candidate) if candidate.endswith(".jinja") else None
        if data is not None:
            return data.decode("utf-8", "replace")
    config = _base_file(folder, "tokenizer_config.json")
    try:
        found = json.loads(config) if config is not None else {}
    except ValueError:
        return None
    return _template(found.get("chat_template")) if isinstance(found, dict) else None


def _template(value: Any) -> str | None:
    """Return a template, several of them one after the other; None if there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [{"template": text} for text in value.values()]
    if isinstance(value, list):
        texts = [v.get("template") for v in value if isinstance(v, dict)]
        return "\n".join(t for t in texts if isinstance(t, str)) or None
    return None


def _ids(vocabulary: Any) -> dict[str, int]:
    if isinstance(vocabulary, dict):
        return {token: i for token, i in vocabulary.items() if type(i) is int}
    if isinstance(vocabulary, list):  # Unigram: [text, log-probability], the id is the place
        return {
            v[0]: i for i, v in enumerate(vocabulary) if isinstance(v, list) and v and isinstance(v[0], str)
        }
    return {}


def _added(tokens: Any) -> dict[str, int]:
    listed = tokens if isinstance(tokens, list) else []
    pairs = [(t.get("content"), t.get("id")) for t in listed if isinstance(t, dict)]
    return {text: i for text, i in pairs if isinstance(text, str) and type(i) is int}


def _inserted(sections: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Find parts that add text: a Prepend, or a Replace whose new text has letters."""
    for section in ("normalizer", "pre_tokenizer"):
        pending: list[Any] = [json.loads(sections.get(section, "null"))]
        while pending:
            part = pending.pop()
            if isinstance(part, list):
                pending += part
            elif isinstance(part, dict):
                text = {"Prepend": part.get("prepend"), "Replace": part.get("content")}.get(
                    str(part.get("type"))
                )
                if isinstance(text, str) and any(c.isalnum() for c in text):
                    yield section, text
                pending += [v for v in part.values() if isinstance(v, list | dict)]


def _listed(name: str, values: list[str]) -> tuple[Fact, ...]:
    return (Fact(name=name, value=shown("; ".join(values), limit=2_000)),) if values else ()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(value: Any) -> str:
    """Return the sha256 of a list's JSON, item by item, so that no long text is made of it."""
    found = hashlib.sha256()
    for item in value if isinstance(value, list) else [value]:
        found.update(_json(item).encode("utf-8", "surrogatepass") + b"\n")
    return found.hexdigest()
