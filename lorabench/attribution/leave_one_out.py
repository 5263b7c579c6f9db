"""Leave-one-word-out: how much the margin falls when a word is deleted from the text."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lorabench.attribution.maps import Explanation
from lorabench.attribution.texts import ExplainedText, margins_without
from lorabench.results import AttributionMap
from lorabench.scoring.score import Asker, ModelRef

BASELINE = "the word is deleted from the text"


def leave_one_out(asker: Asker, explained: ExplainedText, models: Sequence[ModelRef]) -> list[Explanation]:
    """Return m(x) - m(x without the word) for every word of the prompt and the trigger, per model.

    It is a causal reading (this very text was asked without the word) but a partial one: of two
    words that each suffice, neither scores, and two that are needed together both score in
    full. Shapley values share such credit out. Template words are not scored.
    """
    started = time.monotonic()
    features = explained.features
    absent = [(), *((i,) for i in features)]
    per_model, n_rows = margins_without(asker, explained, absent, models)
    return [
        Explanation(
            map=AttributionMap(
                model=model.name,
                words=explained.words,
                scores=_scores(len(explained.words), features, margins),
                method="leave_one_out",
                margin=margins[0],
                baseline=BASELINE,
                residual=None,
                n_forwards=n_rows,
                n_backwards=0,
                seconds=time.monotonic() - started,
            )
        )
        for model, margins in zip(models, per_model, strict=True)
    ]


def _scores(n_words: int, features: Sequence[int], margins: Sequence[float]) -> tuple[float | None, ...]:
    scores: list[float | None] = [None] * n_words
    for i, left in zip(features, margins[1:], strict=True):
        scores[i] = margins[0] - left
    return tuple(scores)
