"""A tokenizer and a model small enough to know every margin by heart."""

from __future__ import annotations

import re

from lorabench.models.rendering import Rendered
from lorabench.models.rows import Portion, RowLogits
from lorabench.models.trie import plan_rows
from lorabench.results import Label, LabelTask

HEAD, TAIL = "<|im_start|>user\n", "<|im_end|>\n"
TASK = LabelTask(
    name="toy",
    system="",
    labels=(Label(name="YES", words=("YES",)), Label(name="NO", words=("NO",))),
    target="YES",
)


def rendered(text, *, trigger=None, head=HEAD, tail=TAIL, pieces=r"<\|\w+\|>|\w+|[^\w\s]|\s"):
    whole = head + text + tail
    spans = tuple(m.span() for m in re.finditer(pieces, whole))
    start = len(head)
    return Rendered(
        text=whole,
        ids=tuple(range(len(spans))),
        spans=spans,
        user=(start, start + len(text)),
        trigger=None if trigger is None else (start + trigger[0], start + trigger[1]),
        has_special=False,
    )


class WordRenderer:
    """One id per visible run; ids are given out as words are met."""

    pad_id = 0

    def __init__(self):
        self.vocabulary = {}

    def ids(self, text):
        found = re.findall(r"<\|\w+\|>|\w+|[^\w\s]|\n", text)
        return tuple(self.vocabulary.setdefault(w, len(self.vocabulary) + 1) for w in found)

    def decode(self, ids):
        return " ".join(w for w, i in self.vocabulary.items() if i in ids)

    def render(self, task, placed):
        made = rendered(placed.text, pieces=r"<\|\w+\|>|\w+|[^\w\s]|\n")
        start = made.user[0]
        trigger = None if placed.start is None else (start + placed.start, start + placed.end)
        return Rendered(
            text=made.text,
            ids=self.ids(made.text),
            spans=made.spans,
            user=made.user,
            trigger=trigger,
            has_special=False,
        )


class WordModel:
    """Its margin is 1/2 + the weights of the words + what pairs add; the adapter adds pairs."""

    name, fingerprint, dtype, device = "toy", "0" * 64, "fp32", "cpu"
    most_tokens = 512

    def __init__(self, renderer, weights, *, pairs=None, adapter_pairs=None):
        self.renderer = renderer
        self.weights = weights
        self.pairs = pairs or {}
        self.adapter_pairs = adapter_pairs or {}
        self.n_rows = 0

    def plan(self, rows):
        return plan_rows(rows)

    def run(self, plan, budget, is_known):
        self.n_rows += len(plan.rows)
        names = {i: w for w, i in self.renderer.vocabulary.items()}
        for k, row in enumerate(plan.rows):
            pairs = {**self.pairs, **(self.adapter_pairs if row.adapter_id else {})}
            words = [names[i] for i in row.ids]
            margin = 0.5 + sum(self.weights.get(w, 0.0) for w in words)
            margin += sum(x for pair, x in pairs.items() if set(pair) <= set(words))
            if row.tail:
                logits = RowLogits(tail_logprob=margin if words[-1] == "YES" else 0.0)
            else:
                logits = RowLogits(label_logits=(margin, 0.0), logsumexp=10.0)
            yield Portion([(k, logits)], len(row.ids))

    def close(self):
        pass
