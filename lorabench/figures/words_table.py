"""A word map as numbers: ranks, shares, and the accessible twin of the coloured words."""

from __future__ import annotations

import pandas as pd

from lorabench.figures.visible import visible
from lorabench.results import AttributionMap


def rank_words(map: AttributionMap) -> dict[int, int]:
    """Return position of the word -> rank by size, 1 first, over scored words outside the template.

    Empty for a map in which no such word has an effect. Of equal sizes the earlier word comes first.
    """
    scored = [
        (i, s)
        for i, (w, s) in enumerate(zip(map.words, map.scores, strict=True))
        if s is not None and w.role != "template"
    ]
    if not any(s for _, s in scored):
        return {}
    order = sorted(scored, key=lambda item: (-abs(item[1]), item[0]))
    return {i: rank for rank, (i, _) in enumerate(order, start=1)}


def share_of_total(map: AttributionMap) -> tuple[float | None, ...]:
    """Return each word's share of the summed size of all scores, template included; None if unscored."""
    total = sum(abs(s) for s in map.scores if s is not None)
    return tuple(None if s is None or not total else abs(s) / total for s in map.scores)


def words_table(map: AttributionMap, *, show_template: bool = True) -> pd.DataFrame:
    """Return one row per word, in text order: the twin of `words_html`.

    Returns:
        Columns `position`, `word` (hidden characters made visible), `role`, `score` (logits),
        `share` (of the summed size), `rank` (among words outside the template) and `tokens`.
        A word that was not scored has no score, share or rank.
    """
    ranks, shares = rank_words(map), share_of_total(map)
    rows = [
        {
            "position": i,
            "word": visible(w.text),
            "role": w.role,
            "score": map.scores[i],
            "share": shares[i],
            "rank": ranks.get(i),
            "tokens": len(w.tokens),
        }
        for i, w in enumerate(map.words)
        if show_template or w.role != "template"
    ]
    columns = ["position", "word", "role", "score", "share", "rank", "tokens"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"score": "float64", "share": "float64", "rank": "Int64"})
