"""Results as flat tables, one row per thing that was measured: what a download holds."""

from __future__ import annotations

import pandas as pd

from lorabench.figures import encodable, words_table
from lorabench.results import LabelTask, Quad, ScoreReport


def scores_frame(report: ScoreReport) -> pd.DataFrame:
    """Return one row per score, with the flip it belongs to.

    Returns:
        Columns `prompt`, `trigger` (empty for none), `text`, `model`, `answer`, `label`, `margin`
        (logits), one `logit <label>` each, `logsumexp`, `n_tokens`, `eligible`, `flipped`,
        `margin_shift` (these three missing without a trigger) and `generated`. Texts are exact
        (but for lone surrogates).
    """
    flips = {(f.after.prompt, f.after.trigger, f.after.model): f for f in report.flips}
    labels = (
        [encodable(label.name) for label in report.task.labels] if isinstance(report.task, LabelTask) else []
    )
    rows = []
    for s in report.scores:
        flip = flips.get((s.prompt, s.trigger, s.model))
        logits = dict(zip((f"logit {name}" for name in labels), s.label_logits, strict=False))
        row = {
            "prompt": s.prompt,
            "trigger": s.trigger or "",
            "text": s.text,
            "model": s.model,
            "answer": s.answer,
            "label": s.label,
            "margin": s.margin,
            **logits,
            "logsumexp": s.logsumexp,
            "n_tokens": s.n_tokens,
            "eligible": flip.is_eligible if flip else None,
            "flipped": flip.flipped if flip else None,
            "margin_shift": flip.margin_shift if flip else None,
            "generated": s.generated or "",
        }
        rows.append({k: encodable(v) if isinstance(v, str) else v for k, v in row.items()})
    head = ["prompt", "trigger", "text", "model", "answer", "label", "margin"]
    tail = ["logsumexp", "n_tokens", "eligible", "flipped", "margin_shift", "generated"]
    frame = pd.DataFrame(rows, columns=[*head, *(f"logit {name}" for name in labels), *tail])
    numbers = dict.fromkeys(("margin", "logsumexp", "margin_shift"), "float64")
    return frame.astype({**numbers, "n_tokens": "int64", "eligible": "boolean", "flipped": "boolean"})


def attribution_frame(quad: Quad) -> pd.DataFrame:
    """Return one row per word of each map: `map`, `model`, `method`, `margin`, then `words_table`."""
    named = {
        "base": quad.base_plain,
        "adapter": quad.adapter_plain,
        "difference": quad.difference_plain,
        "base, trigger": quad.base_triggered,
        "adapter, trigger": quad.adapter_triggered,
        "difference, trigger": quad.difference_triggered,
    }
    frames = []
    for name, map in named.items():
        if map is not None:
            frame = words_table(map)
            given = frame.assign(map=name, model=encodable(map.model), method=map.method, margin=map.margin)
            frames.append(given[["map", "model", "method", "margin", *frame.columns]])
    return pd.concat(frames, ignore_index=True)
