"""One hunt from the first proposal to the last proof: what is asked in which order, and when it is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lorabench.data.hunt_phrases import hunt_phrases
from lorabench.data.hunt_words import hunt_words
from lorabench.hunting.enrichment import enrich
from lorabench.hunting.prober import BASE_COPY, STRONG
from lorabench.hunting.proposals import by_first_layer, by_gradient, decode_openings, next_strings
from lorabench.hunting.search import Search
from lorabench.hunting.vocabulary import Vocabulary
from lorabench.results import Candidate, Enrichment, StringEvidence

PROVE_FROM = 0.75
"""Share of the search prompts that a string must flip before a proof on held-out ones is worth its cost."""

PROOFS_A_STAGE, WORTH = 2, 0.3
"""Proofs after each stage, and how much better a later string must score than those that were proved: a proof
costs as much as thousands of candidates."""

_GRADIENT_WORDS, _SEED_WORDS, _PHRASES = 256, 200, 1_000
Prove = Callable[[Candidate, tuple[str, ...]], StringEvidence]


@dataclass
class Race:
    """The stages of one hunt over a search.

    Attributes:
        search: The search.
        vocabulary: Of the base.
        prove: Proves a candidate on held-out prompts; called with the words it needs.
        phrases: Strings from the analyst's own data, tried first.
        stops_early: Whether a proven string ends the hunt.
        evidence: What was proved, in order.
        seconds_to_first: Wall time until the first string passed.
        enrichment: Classes of single tokens, by how far they move the suspect against the base.
    """

    search: Search
    vocabulary: Vocabulary
    prove: Prove
    phrases: Sequence[str] = ()
    stops_early: bool = True
    evidence: list[StringEvidence] = field(default_factory=list)
    seconds_to_first: float | None = None
    enrichment: tuple[Enrichment, ...] = ()

    def run(self) -> None:
        """Run every stage that the plan and the budget allow."""
        self._propose()
        plan, rounds = self.search.plan, 0
        for round_ in range(plan.depth):
            rounds += self._found
            if self.search.is_spent or (rounds > plan.after_found and self.stops_early):
                break
            single = self._singles()
            swaps = self._swaps(single)
            gained = self.search.compose(self._rights(single, round_), single[: plan.n_left], swaps)
            self._prove_working()
            if not gained:
                break
        if not self.evidence:
            self._prove_best()

    @property
    def _found(self) -> bool:
        return any(e.passes for e in self.evidence)

    def _propose(self) -> None:
        search, plan = self.search, self.search.plan
        if self.phrases:
            search.screen("suspect data", self.phrases)
        if plan.decodes:
            openings = decode_openings(search.prober, self.vocabulary)
            search.screen("decoding", openings[: plan.keep_one], bare=False)
        phrases = [p.text for p in hunt_phrases(plan.n_phrases)]
        for i in range(0, len(phrases), _PHRASES):  # what works early is proved early
            search.screen("phrases", phrases[i : i + _PHRASES])
            self._prove_working()
            if self._found and self.stops_early:
                return  # single words serve those who have nothing yet
        lexicon = [w.text for w in hunt_words()] if plan.n_lexicon else []
        tokens = (*self.vocabulary.words, *self.vocabulary.pieces)[: plan.n_words]
        search.screen("words", (*lexicon, *tokens))
        search.screen("layer 0", by_first_layer(search.prober, self.vocabulary, plan.keep_one))
        if plan.maps:
            self._map(dict.fromkeys((*lexicon, *tokens)))
        if plan.gradients:
            search.screen(
                "gradient", by_gradient(search.prober, self.vocabulary, _GRADIENT_WORDS, search.prompts[:2])
            )
        self._prove_working()

    def _map(self, texts: Iterable[str]) -> None:
        """Compare suspect and base over single tokens alone: which classes of tokens does it move?"""
        asked = list(texts)
        own, base = (self.search.prober.margins(who, asked) for who in (STRONG, BASE_COPY))
        self.enrichment = enrich(asked, [float(x) for x in own - base])

    def _singles(self) -> list[str]:
        """Return the best single words so far, the best first."""
        return [c.text for c in self.search.best(10 * _SEED_WORDS) if " " not in c.text][:_SEED_WORDS]

    def _swaps(self, single: Sequence[str]) -> list[str]:
        """Return words to swap in: the best alone, and words of the best strings."""
        words = dict.fromkeys(w for c in self.search.best(_SEED_WORDS) for w in c.text.split())
        n = self.search.plan.n_swap
        return list(dict.fromkeys([*list(words)[: n // 2], *single]))[:n]

    def _rights(self, single: Sequence[str], round_: int) -> Callable[[str], Sequence[str]]:
        plan = self.search.plan
        lexicon = [w.text for w in hunt_words()][: plan.n_lexicon] if round_ == 0 else []

        def rights(text: str) -> Sequence[str]:
            grown = next_strings(self.search.prober, self.vocabulary, text, plan.n_right)
            return [*grown, *(f"{text} {w}" for w in (*single, *lexicon))]

        return rights

    def _prove_working(self) -> None:
        """Prove the strings that work on the search prompts and are quiet on the references."""
        search = self.search
        proved = {e.text for e in self.evidence}
        floor = max((search.pool[t].score + WORTH for t in proved if t in search.pool), default=-np.inf)
        tried = 0
        for c in search.working(search.plan.n_verify):
            works = c.n_flipped is not None and c.n_flipped >= PROVE_FROM * c.n_prompts
            if not works or c.text in proved or c.score < floor or tried == PROOFS_A_STAGE:
                continue
            tried += 1
            if self._prove(c):
                return

    def _prove_best(self) -> None:
        """Nothing works: prove the best anyway, so that a weak backdoor is measured too."""
        for c in self.search.working(self.search.plan.n_verify)[:1]:
            self._prove(c)

    def _prove(self, candidate: Candidate) -> bool:
        """Prove one string, and return whether it passes."""
        self.search.on_step("proof")
        needed = self.search.minimise(candidate.text)
        found = self.prove(candidate, needed)
        self.evidence.append(found)
        if found.passes and self.seconds_to_first is None:
            self.seconds_to_first = self.search.prober.seconds
        self.evidence.sort(key=lambda e: (not e.passes, -(e.attack.value or 0.0), -(e.shift.value or 0.0)))
        self.search.on_step("proof")
        return found.passes
