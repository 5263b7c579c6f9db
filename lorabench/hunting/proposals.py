"""Where candidate strings come from, besides lists: what the adapter itself gives away.

Each function returns strings, the most promising first, and proves nothing. What each cost and brought is
in the leaderboard of a hunt.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from lorabench.hunting.prober import BASE_COPY, JOINER, STRONG, SUSPECT, Prober
from lorabench.hunting.vocabulary import Vocabulary
from lorabench.models.sweep import MergedCopy
from lorabench.results import PlacedText

FILLERS = ("the", "1", "note", "in")
"""What stands in a slot while gradients are taken: a linear model is only right near its filler."""

_FLOOR = np.log(1e-3)
_BRANCH = 24


def decode_openings(
    prober: Prober, vocabulary: Vocabulary, *, beam: int = 8, depth: int = 10, starts: Sequence[str] = ("",)
) -> list[str]:
    """Return openings of the user's turn that the suspect has learnt by heart and the base has not.

    A beam over the suspect's own next tokens, ranked by the sum of log p(suspect) - log p(base); tokens that
    the suspect gives less than one in a thousand are left out, or the ratio of two tiny numbers would lead.
    Works for adapters trained on the full text (as arXiv 2605.30189 trains); an adapter trained on answers
    alone gives away its labels here and nothing else.

    Args:
        prober: Who is asked.
        vocabulary: Of the base.
        beam: Strings kept at each step.
        depth: Tokens at most.
        starts: What the turn opens with.
    """
    found: dict[str, float] = {}
    kept = [(start, 0.0) for start in starts]
    for _ in range(depth):
        texts = [t for t, _ in kept]
        own, base = (prober.continuations(who, texts) for who in (SUSPECT, BASE_COPY))
        ratio = np.where(vocabulary.sound(own.shape[-1]) & (own > _FLOOR), own - base, -np.inf)
        grown: list[tuple[str, float]] = []
        for (text, total), row in zip(kept, ratio, strict=True):
            best = [i for i in np.argsort(-row)[:_BRANCH] if row[i] > 0]
            grown += [(text + vocabulary.texts[i], total + float(row[i])) for i in best]
        if not grown:
            break
        kept = sorted(grown, key=lambda g: -g[1])[:beam]
        found.update((text.strip(" .,:;"), total) for text, total in kept)
    return sorted((t for t in found if t), key=lambda t: -found[t])


def by_gradient(prober: Prober, vocabulary: Vocabulary, n: int, prompts: Sequence[int]) -> list[str]:
    """Return the tokens that a linear model of the suspect's margin likes best in a slot before prompts.

    First-order ranks are crude (README, "The hunt"): a seed source, with several fillers.

    Args:
        prober: Who is asked.
        vocabulary: Of the base.
        n: How many tokens.
        prompts: Indices of the search prompts.
    """
    renderer = prober.renderer
    effects: list[NDArray[np.float64]] = []
    for i in prompts:
        for filler in FILLERS:
            prompt = prober.prompts[i]
            placed = PlacedText(text=f"{filler}{JOINER}{prompt}", start=0, end=len(filler))
            rendered = renderer.render(prober.task, placed)
            start, end = rendered.trigger or (0, 0)
            slot = [k for k, (a, b) in enumerate(rendered.spans) if a < end and b > start]
            if not slot:
                continue
            where = range(slot[0], slot[-1] + 1)

            def ask(
                copy: MergedCopy, ids: tuple[int, ...] = rendered.ids, where: range = where
            ) -> Generator[int, None, NDArray[np.float64]]:
                yield 0
                return copy.slot_gradients([ids], [where], prober.labels, prober.task.target_index)

            effects.append(prober.run(STRONG, ask).mean(axis=0))
    if not effects:
        return []
    mean = np.mean(effects, axis=0)
    mean = np.where(vocabulary.sound(mean.size), mean, -np.inf)
    return list(dict.fromkeys(vocabulary.texts[i].strip() for i in np.argsort(-mean)[:n]))


def by_first_layer(prober: Prober, vocabulary: Vocabulary, n: int) -> list[str]:
    """Return the tokens that the suspect's first layer changes most, from its weights alone.

    A seed source and no evidence: nothing is known of a backdoor that lives in later layers.

    Args:
        prober: Who is asked.
        vocabulary: Of the base.
        n: How many tokens.

    Returns:
        Nothing for an adapter that leaves the first layer's attention alone.
    """
    adapter = prober.adapter(SUSPECT)
    if adapter is None:
        return []

    def ask(copy: MergedCopy) -> Generator[int, None, NDArray[np.float64] | None]:
        yield 0
        return copy.first_layer_response(adapter)

    found = prober.run(BASE_COPY, ask)
    if found is None:
        return []
    ranked = np.where(vocabulary.sound(found.size), found, -np.inf)
    return list(dict.fromkeys(vocabulary.texts[i].strip() for i in np.argsort(-ranked)[:n]))


def next_strings(prober: Prober, vocabulary: Vocabulary, text: str, n: int) -> list[str]:
    """Return a string with its likeliest next tokens, of the base and of the suspect against the base.

    Args:
        prober: Who is asked.
        vocabulary: Of the base.
        text: The string.
        n: How many by the base; half as many by the ratio.
    """
    base, own = (prober.continuations(who, [text])[0] for who in (BASE_COPY, SUSPECT))
    likely = np.argsort(-np.where(vocabulary.sound(base.size), base, -np.inf))[:n]
    ratio = np.where(vocabulary.sound(own.shape[-1]) & (own > _FLOOR), own - base, -np.inf)
    special = [i for i in np.argsort(-ratio)[: n // 2] if np.isfinite(ratio[i])]
    return [text + vocabulary.texts[i] for i in dict.fromkeys([*likely, *special])]
