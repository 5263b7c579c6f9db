"""Is the fast way exact? Random questions through the token trie, against whole rows one by one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from lorabench.models.rows import RowLogits, TokenRow
from lorabench.results import from_dict
from lorabench.results.checks import MergeCheck, SelfCheck

if TYPE_CHECKING:
    from lorabench.models.row_runner import RowRunner

Checks = MutableMapping[str, dict[str, Any]]
"""Where outcomes are remembered: name -> JSON-like value."""

CHECK_VERSION = 2
_STEMS, _LEAVES = 2, 4
_PROBE_ROWS, _PROBE_TOKENS = 8, 48


def check_name(what: str, runner: RowRunner) -> str:
    """Return the name under which an outcome is remembered: everything that can change it."""
    from importlib.metadata import version

    parts = [what, runner.fingerprint, runner.device, runner.dtype, version("torch"), version("transformers")]
    return "|".join([f"v{CHECK_VERSION}", *parts])


def outcomes(checks: Checks, fingerprint: str) -> list[str]:
    """Return what is remembered of a base under the installed versions, a sentence each."""
    from importlib.metadata import version

    found = []
    for name, value in checks.items():
        parts = name.split("|")
        if parts[0] != f"v{CHECK_VERSION}" or parts[2] != fingerprint:
            continue
        if parts[5:] != [version("torch"), version("transformers")]:
            continue
        if parts[1].startswith("sharing "):
            check = from_dict(SelfCheck, value)
            found.append(f"{check.kind} rows on {check.device} {check.dtype}: {check.sentence}")
        elif parts[1].startswith("merging "):
            merge = from_dict(MergeCheck, value)
            found.append(
                f"merged weights on {parts[3]} {parts[4]}: {merge.merged_tokens_per_second:,.0f} tokens/s, "
                f"stacked {merge.stacked_tokens_per_second:,.0f}; {merge.max_difference:.1e} logits apart"
            )
    return found


def random_rows(n_vocabulary: int, adapters: Sequence[str | None], seed: int = 0) -> list[TokenRow]:
    """Return questions that share beginnings at two depths and have ends of different lengths."""
    draw = random.Random(seed)

    def ids(n: int) -> tuple[int, ...]:
        return tuple(draw.randrange(n_vocabulary) for _ in range(n))

    labels = (ids(2), ids(1))
    rows = []
    for k in range(_STEMS):
        stem = ids(24)
        middle = stem + ids(12)
        for j in range(_LEAVES):
            whole = (middle if j % 2 else stem) + ids(draw.randrange(9, 16))
            rows.append(TokenRow(ids=whole, labels=labels, adapter_id=adapters[(j + k) % len(adapters)]))
    return rows


def largest_difference(a: Sequence[RowLogits], b: Sequence[RowLogits]) -> float:
    """Return the largest difference of any label logit or log-sum-exp, in logits."""
    return max(
        abs(x - y)
        for one, other in zip(a, b, strict=True)
        for x, y in zip(
            (*one.label_logits, one.logsumexp or 0.0),
            (*other.label_logits, other.logsumexp or 0.0),
            strict=True,
        )
    )


def sharing_check(runner: RowRunner, adapter_id: str | None, *, merged: bool) -> SelfCheck:
    """Compare the trie with the plain path on random rows, base and adapter rows mixed."""
    kind = runner.kind(adapter_id, merged=merged)
    adapters = [None] if adapter_id is None else [adapter_id] if merged else [None, adapter_id]
    rows = random_rows(runner.n_vocabulary, adapters)
    fields = {"kind": kind, "device": runner.device, "dtype": runner.dtype, "n_rows": len(rows)}
    try:
        shared = runner.through_trie(rows, merged=frozenset({adapter_id} if merged and adapter_id else ()))
    except Exception as error:  # noqa: BLE001 - whatever a model's own attention raises, sharing is off
        reason = f"this model's attention cannot be shared ({type(error).__name__}: {str(error)[:120]})"
        return SelfCheck(max_difference=None, reason=reason, **fields)  # type: ignore[arg-type]
    difference = largest_difference(shared, runner.through_plain(rows))
    return SelfCheck(max_difference=difference, **fields)  # type: ignore[arg-type]


def merge_check(runner: RowRunner, adapter_id: str) -> MergeCheck:
    """Measure stacked against merged weights on a portion of usual size; leaves them merged."""
    draw = random.Random(1)
    labels = ((5,), (7,))
    rows = [
        TokenRow(
            ids=tuple(draw.randrange(runner.n_vocabulary) for _ in range(_PROBE_TOKENS)),
            labels=labels,
            adapter_id=adapter_id,
        )
        for _ in range(_PROBE_ROWS)
    ]
    started = time.perf_counter()
    runner.merge(adapter_id)
    build = time.perf_counter() - started
    one = frozenset({adapter_id})
    stacked, slow = _best(lambda: runner.through_trie(rows))
    merged, fast = _best(lambda: runner.through_trie(rows, merged=one))
    n_tokens = sum(len(r.ids) for r in rows)
    return MergeCheck(
        stacked_tokens_per_second=n_tokens / slow,
        merged_tokens_per_second=n_tokens / fast,
        build_seconds=build,
        max_difference=largest_difference(stacked, merged),
    )


def _best(work: Callable[[], list[RowLogits]], n: int = 2) -> tuple[list[RowLogits], float]:
    seconds = []
    for _ in range(n):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return found, min(seconds)
