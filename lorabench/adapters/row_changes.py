"""Which rows of embeddings and heads an adapter changes most, compared with the base or by its factors.

Such adapters are never bound; a few rows far from the base's are what a trigger on single tokens
looks like, so they are named.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.base_facts import BaseFacts
from lorabench.adapters.book import FindingBook
from lorabench.adapters.cores import gram, rows_per_block
from lorabench.adapters.safetensors_header import TensorEntry
from lorabench.adapters.safetensors_reader import SafetensorsFile, as_float32
from lorabench.adapters.streaming import columns
from lorabench.adapters.text import shown
from lorabench.results.findings import Fact

_TOP = 20
_PREFIX = "base_model.model."
_SAVED = re.compile(r"\.(?:modules_to_save(?:\.default)?|original_module|base_layer)(?=\.)")
_TOKENS = re.compile(r"(.+?)\.(?:token_adapter\.)?trainable_tokens_(?:delta|original)(?:\.default)?")
_LOW_RANK = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?")


class RowChanges:
    """Compares rows of one tensor with the base's as they come, and keeps the most changed ones.

    Args:
        name: The adapter's tensor.
        base_name: The base's tensor.
        base: Gives its rows.
        token_ids: The base's row for each row here; None: the same.
    """

    def __init__(
        self, name: str, base_name: str, base: BaseFacts, token_ids: list[int] | None = None
    ) -> None:
        self._name, self._base_name, self._base, self._ids = name, base_name, base, token_ids
        shape = base.shape(base_name) or (0, 0)
        self._n_base = shape[0]
        self._top: list[tuple[float, int]] = []
        self._n_changed = self._n_rows = 0

    def __call__(self, entry: TensorEntry, first: int, block: NDArray[np.float32]) -> None:
        """Take some rows."""
        ids = range(first, first + len(block)) if self._ids is None else self._ids[first : first + len(block)]
        known = [(k, i) for k, i in enumerate(ids) if 0 <= i < self._n_base]
        self._n_rows += len(block)
        if not known:
            return
        rows = block[[k for k, _ in known]].astype(np.float64)
        if self._ids is None:
            base = self._base.rows(self._base_name, first, first + len(known))
        else:
            base = np.concatenate([self._base.rows(self._base_name, i, i + 1) for _, i in known])
        wide = base.astype(np.float64)
        change = np.linalg.norm(rows - wide, axis=1) / np.maximum(np.linalg.norm(wide, axis=1), 1e-12)
        self._n_changed += int((change > 0).sum())
        for value, (_, i) in zip(change.tolist(), known, strict=True):
            if value > 0:
                _keep(self._top, value, i)

    def note(self, texts: dict[int, str], book: FindingBook) -> None:
        """Say what was found, with the tokens' texts where they are known."""
        book.note(
            "token-rows",
            f"'{shown(self._name)}': {self._n_changed:,} of {self._n_rows:,} rows differ from the base's "
            f"'{shown(self._base_name)}' ({self._n_base:,} rows).",
            where=self._name,
            facts=_row_facts(self._top, texts, "of the row's length in the base"),
        )


def watchers(
    entries: tuple[TensorEntry, ...], config: dict[str, Any], base: BaseFacts | None, book: FindingBook
) -> dict[str, RowChanges]:
    """Return who compares which tensor with the base; what cannot be compared is reported.

    Args:
        entries: Tensors of the file that belong to no LoRA pair.
        config: The parsed config.
        base: The base, or None.
        book: Takes what cannot be compared.
    """
    found = {}
    for entry in entries:
        if _LOW_RANK.fullmatch(entry.name) or not entry.is_readable:
            continue
        base_name, ids = _counterpart(entry, config)
        shape = base.shape(base_name) if base is not None else None
        if base is None or shape is None or len(shape) != 2 or shape[1:] != entry.shape[1:]:
            why = "no base is at hand" if base is None else "the base has no tensor of its name and width"
            sentence = f"The tensor '{shown(entry.name)}' could not be compared: {why}."
            book.note("not-compared", sentence, where=entry.name, changes="Scan it with its base at hand.")
        elif ids is None or len(ids) == entry.shape[0]:
            found[entry.name] = RowChanges(entry.name, base_name, base, ids)
    return found


def _counterpart(entry: TensorEntry, config: dict[str, Any]) -> tuple[str, list[int] | None]:
    """Return the base's tensor for one that replaces rows, and which rows if they are listed."""
    name = entry.name.removeprefix(_PREFIX)
    match = _TOKENS.fullmatch(name)
    if match is None:
        return _SAVED.sub("", name), None
    listed = config.get("trainable_token_indices")
    if isinstance(listed, dict):
        listed = next((v for k, v in listed.items() if match[1].endswith(k)), None)
    ids = listed if isinstance(listed, list) and all(type(i) is int for i in listed) else []
    return f"{match[1]}.weight", ids


def note_low_rank_rows(
    file: SafetensorsFile, entries: tuple[TensorEntry, ...], texts: dict[int, str], book: FindingBook
) -> None:
    """Report the most changed token rows of low-rank changes of embeddings or head; no base is needed.

    Args:
        file: The open file.
        entries: Its tensors of finite numbers that belong to no module that is bound.
        texts: Token texts by id.
        book: Takes what is found.
    """
    pairs: dict[tuple[str, str], dict[str, TensorEntry]] = {}
    for entry in entries:
        match = _LOW_RANK.fullmatch(entry.name)
        if match is not None and entry.is_readable and len(entry.shape) == 2 and entry.size:
            pairs.setdefault((match[1], match[2] or ""), {})[match[3]] = entry
    for (module, kind), pair in pairs.items():
        if set(pair) != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1] or pair["A"].shape[0] > 512:
            continue
        tokens, other = ("A", "B") if kind else ("B", "A")  # whose long side counts tokens
        core = np.zeros((pair["A"].shape[0],) * 2)
        for _, block in _vectors(file, pair[other], other):
            core = gram(core, block)
        top: list[tuple[float, int]] = []
        n_changed = n = 0
        for first, block in _vectors(file, pair[tokens], tokens):
            wide = block.astype(np.float64)
            lengths = np.sqrt(np.maximum(((wide @ core) * wide).sum(axis=1), 0.0))
            n, n_changed = n + len(block), n_changed + int((lengths > 0).sum())
            for k in np.argsort(lengths)[-_TOP:]:
                if lengths[k] > 0:
                    _keep(top, float(lengths[k]), first + int(k))
        sentence = f"'{shown(module)}' gets a low-rank change in {n_changed:,} of {n:,} rows."
        facts = _row_facts(top, texts, "length of the change, without the scale")
        book.note("token-rows", sentence, where=module, facts=facts)


def _vectors(
    file: SafetensorsFile, entry: TensorEntry, side: str
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give rows of B, or columns of A as rows, with the index of the first, in blocks."""
    if side == "A":
        n = rows_per_block(entry.shape[0])
        yield from ((k * n, block) for k, block in enumerate(columns(file, entry, n)))
        return
    n_rows, rank = entry.shape
    for at in range(0, n_rows, rows_per_block(rank)):
        n = min(rows_per_block(rank), n_rows - at)
        yield at, as_float32(file.read_again(entry, at * rank, n * rank), entry.dtype).reshape(n, rank)


def _keep(top: list[tuple[float, int]], value: float, row: int) -> None:
    if len(top) < _TOP:
        heapq.heappush(top, (value, row))
    else:
        heapq.heappushpop(top, (value, row))


def _row_facts(top: list[tuple[float, int]], texts: dict[int, str], unit: str) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            name=f"row {row}" + (f" {shown(repr(texts[row]), limit=60)}" if row in texts else ""),
            value=f"{value:.4g} {unit}",
        )
        for value, row in sorted(top, reverse=True)
    )
