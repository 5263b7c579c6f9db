"""What a worker of a sweep does: load the base once, bind the adapters, score shards of rows."""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorabench import __version__
from lorabench.adapters import read_adapter
from lorabench.adapters.inventory import CONFIG_FILE, WEIGHTS_FILE
from lorabench.config import Config
from lorabench.engine.executors import Link
from lorabench.errors import BaseModelError, BindingError, CancelledError, JobError
from lorabench.models import fetch
from lorabench.models.rows import RowLogits, TokenRow

_lock = threading.Lock()
_loaded: dict[tuple[str, ...], Any] = {}  # one model per worker process


def score_shard(payload: Any, link: Link) -> list[list[Any]]:
    """Score the rows of one shard with this worker's own copy of the base.

    Args:
        payload: Rows, each as `row_to_json` writes it.
        link: Its context says which base and adapters, see `lorabench.workflows.sweeps`.

    Returns:
        One [label logits, log-sum-exp, log-probability of the tail] per row, in order.

    Raises:
        BaseModelError: If the base is missing here, or is another one.
        JobError: If another lorabench is installed here.
        BindingError: If an adapter is not the one that was asked for.
        CancelledError: If cancelled.
    """
    rows = [row_from_json(data) for data in payload]
    with _lock:
        model = _model(link.context)
        _bind(model, link.context, {row.adapter_id for row in rows if row.adapter_id is not None})
        found: dict[int, RowLogits] = {}
        for batch in model.score_rows(rows, link.context["token_budget"] or model.most_tokens):
            found.update(batch)
            link.report({"done": len(found)})
            if link.cancelled():
                raise CancelledError()
    return [[list(a.label_logits), a.logsumexp, a.tail_logprob] for _, a in sorted(found.items())]


def _model(context: dict[str, Any]) -> Any:
    from lorabench.models.language_model import LanguageModel

    if context["lorabench"] != __version__:
        raise JobError(
            "other-lorabench",
            f"A worker has lorabench {__version__}, the sweep is of {context['lorabench']}.",
            "Install the same version on all machines of the cluster.",
        )
    key = tuple(str(context[name]) for name in ("base", "base_fingerprint", "device", "dtype", "threads"))
    if key not in _loaded:
        _loaded.clear()
        cache = context["cache_dir"]
        config = Config.from_environment(
            device=context["device"], dtype=context["dtype"], cache_dir=Path(cache) if cache else None
        )
        folder = fetch.resolve(context["base"], config)
        if (here := fetch.base_fingerprint(context["base"], config)) != context["base_fingerprint"]:
            raise BaseModelError(
                "other-base",
                f"A worker has other weights of {context['base']!r} (fingerprint {here:.12}, not "
                f"{context['base_fingerprint']:.12}).",
                "Pull the same base on all machines of the cluster.",
            )
        _loaded[key] = LanguageModel(
            folder,
            name=context["base"],
            fingerprint=here,
            device=config.device,
            dtype=config.dtype,
            threads=context["threads"] or config.threads,
            checks=dict(context["checks"]),
        )
    return _loaded[key]


def _bind(model: Any, context: dict[str, Any], adapter_ids: set[str]) -> None:
    for adapter_id in sorted(adapter_ids - model.proofs.keys()):
        with _folder(context["adapters"][adapter_id]) as folder:
            checked = read_adapter(folder)  # checked here too: it may have changed on its way
        if checked.facts.adapter_id != adapter_id:
            raise BindingError(
                "other-adapter",
                f"The adapter at {folder} is not the one that was asked for (id {adapter_id:.12}).",
                "It was changed while the sweep ran; start it anew.",
            )
        model.bind(checked)


@contextmanager
def _folder(sent: dict[str, str]) -> Iterator[Path]:
    if "folder" in sent:
        yield Path(sent["folder"])
        return
    with tempfile.TemporaryDirectory(prefix="lorabench-") as made:
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            (Path(made) / name).write_bytes(base64.b64decode(sent[name]))
        yield Path(made)


def row_to_json(row: TokenRow) -> list[Any]:
    """Return a row as a worker gets it."""
    return [row.ids, row.labels, row.tail, row.adapter_id]


def row_from_json(data: list[Any]) -> TokenRow:
    """Return the row that `row_to_json` wrote."""
    ids, labels, tail, adapter_id = data
    return TokenRow(
        ids=tuple(ids), labels=tuple(tuple(label) for label in labels), tail=tail, adapter_id=adapter_id
    )


def answer_from_json(data: list[Any]) -> RowLogits:
    """Return one answer of `score_shard`."""
    labels, logsumexp, tail = data
    return RowLogits(label_logits=tuple(labels), logsumexp=logsumexp, tail_logprob=tail)
