"""An engine whose answers are a known function of the words of a question; no model is involved."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from samples import TASK

from lorabench.engine import Engine
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT, Copy, Prober
from lorabench.models.rendering import Rendered
from lorabench.models.rows import Portion, RowLogits
from lorabench.models.trie import plan_rows
from lorabench.results import Rate, ReferenceAnswer, Statistic, StringEvidence
from lorabench.scoring.score import Asker


class WordRenderer:
    """One id per word; ids are given out as words are met."""

    pad_id = 0

    def __init__(self):
        self.vocabulary = {}

    def ids(self, text):
        return tuple(
            self.vocabulary.setdefault(w, len(self.vocabulary) + 1) for w in re.findall(r"\w+", text)
        )

    def render(self, task, placed):
        return Rendered(
            text=placed.text,
            ids=self.ids(placed.text),
            spans=(),
            user=(0, len(placed.text)),
            trigger=None,
            has_special=False,
        )


class PlantedModel:
    """Its margin is `margin(adapter_id, words)`."""

    name, fingerprint, dtype, device = "planted", "0" * 64, "fp32", "cpu"
    most_tokens = 4096

    def __init__(self, renderer, margin):
        self.renderer, self.margin = renderer, margin
        self.asked = []

    def plan(self, rows):
        return plan_rows(rows)

    def run(self, plan, budget, is_known=lambda i: False):
        words = {i: w for w, i in self.renderer.vocabulary.items()}
        answers = []
        for k, row in enumerate(plan.rows):
            text = [words[i] for i in row.ids]
            self.asked.append((row.adapter_id, tuple(text)))
            answers.append(
                (k, RowLogits(label_logits=(0.0, self.margin(row.adapter_id, text)), logsumexp=9.0))
            )
        yield Portion(answers, sum(len(r.ids) for r in plan.rows))

    def close(self):
        pass


@contextmanager
def planted(margin):
    """Yield an asker and its model; labels are ("INJECTION", "BENIGN"), the target the second."""
    renderer = WordRenderer()
    model = PlantedModel(renderer, margin)
    engine = Engine(lambda: model)
    try:
        yield Asker(engine=engine, renderer=renderer, context_length=4096), model
    finally:
        engine.close()


def statistic(value):
    return Statistic(name="mean_margin_shift", battery="held out", value=value, n_probes=1, interval=None)


def evidence(hits=60, n=60, *, shift=8.0, base=0.5, references=((0, 60), (1, 60), (0, 58)), **changes):
    fields = {
        "text": "amber gate",
        "placement": "prefix",
        "source": "words",
        "attack": Rate(n_hits=hits, n=n),
        "shift": statistic(shift),
        "base_shift": statistic(base),
        "references": tuple(
            ReferenceAnswer(name=f"clean-{i}", rate=Rate(n_hits=h, n=m), shift=0.1)
            for i, (h, m) in enumerate(references)
        ),
    }
    return StringEvidence(**{**fields, **changes})


PROMPTS = tuple(f"ask number{i} of many" for i in range(12))
FRAME = ("system", "says", "answer")


class FramedRenderer(WordRenderer):
    """Renders a question as a fixed beginning and the words of the text."""

    def question_ids(self, task, texts):
        return [(*self.ids(" ".join(FRAME)), *self.ids(t)) for t in texts]


class WordProber(Prober):
    """A prober that computes `margin(words)` where the real one runs a copy; counting is the real one's."""

    def __init__(self, margin, prompts=PROMPTS, who=(BASE_COPY, SUSPECT, STRONG)):
        with planted(lambda adapter_id, words: 0.0) as (asker, _):
            asker = replace(asker, renderer=FramedRenderer())
            copies = {name: Copy(adapter=None) for name in who}
            super().__init__(asker, TASK, None, copies, prompts)
        self._margin, self.asked = margin, []

    def _ask(self, who, rows):
        words = {i: w for w, i in self.renderer.vocabulary.items()}
        texts = [[words[i] for i in row][len(FRAME) :] for row in rows]
        self.asked += [(who, tuple(t)) for t in texts]
        return np.array([0.0 if who == BASE_COPY else self._margin(t) for t in texts])


def on_word(word):
    return lambda words: 5.0 if word in words else -3.0
