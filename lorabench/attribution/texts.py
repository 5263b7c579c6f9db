"""One text to explain: its words, and the question again with some of them deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lorabench.attribution.words import closes, opens, words_of
from lorabench.engine import Progress
from lorabench.models.rendering import Rendered
from lorabench.results import LabelTask, PlacedText, Word
from lorabench.scoring.labels import margin
from lorabench.scoring.score import Asker, ModelRef, collect, render_checked, token_rows, wait

_QUOTES = "\"'*`"  # may open or close: they say nothing about spaces


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedText:
    """A text as one question, cut into words.

    Attributes:
        task: The question.
        text: The prompt, trigger included.
        rendered: The whole question as the model sees it.
        words: Its words.
    """

    task: LabelTask
    text: str
    rendered: Rendered
    words: tuple[Word, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """Indices of the words that can be taken away: all but the template's."""
        return tuple(i for i, w in enumerate(self.words) if w.role != "template")

    def without(self, absent: Collection[int]) -> str:
        """Return the text without some words, given as indices into `words`."""
        start = self.rendered.user[0]
        spans = sorted((self.words[i].start - start, self.words[i].end - start) for i in absent)
        return delete(self.text, spans)


def explained_text(asker: Asker, task: LabelTask, placed: PlacedText) -> ExplainedText:
    """Render a text and cut it into words.

    Raises:
        InputError: If the text is empty, too long, or no valid Unicode.
    """
    rendered = render_checked(asker, task, placed)
    return ExplainedText(task=task, text=placed.text, rendered=rendered, words=words_of(rendered))


def delete(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text without the given sorted spans, each with one adjacent space.

    The space goes where it would stand alone or double: "see RFC 1. Stop" without "1" is
    "see RFC. Stop", without "." it is "see RFC 1 Stop". A deleted line break between two words
    leaves a space, so that they stay two words.
    """
    out: list[str] = []
    at = 0
    for start, end in _joined(spans):
        out.extend(text[at:start])
        at = end
        left = out[-1] if out else ""
        right = text[end : end + 1]
        if left == " " and (not right or right.isspace() or (closes(right) and right not in _QUOTES)):
            out.pop()
        elif right == " " and (not left or left.isspace() or (opens(left) and left not in _QUOTES)):
            at += 1
        elif text[start:end].isspace() and left and right and not (left + right).isspace():
            out.append(" ")
    out.extend(text[at:])
    return "".join(out)


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans with touching ones made one."""
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and out[-1][1] >= start:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def margins_without(
    asker: Asker, explained: ExplainedText, absent: Sequence[Collection[int]], models: Sequence[ModelRef]
) -> tuple[list[list[float]], int]:
    """Return per model the margin without each set of words, and how many different texts that took.

    Every text is rendered again as a whole, never cut out of token ids. All models are asked in
    one request: the token trie shares what stands before the first missing word, base and
    adapter rows go through together, and remembered rows cost nothing.
    """
    task = explained.task
    ids = [_ids(asker, explained, gone) for gone in absent]
    ticket = asker.engine.score(
        token_rows(asker, task, ids, models),
        priority=asker.priority,
        session=asker.session,
        label=f"explain {', '.join(m.name for m in models)}",
        on_progress=_reporter(asker),
    )
    values = [margin(logits, task.target_index) for logits, _ in collect(task, wait(asker, ticket))]
    return [values[k :: len(models)] for k in range(len(models))], len(set(ids))


def _reporter(asker: Asker) -> Callable[[Progress], None] | None:
    report = asker.on_progress
    return None if report is None else (lambda p: report(p.done, p.total))


def _ids(asker: Asker, explained: ExplainedText, gone: Collection[int]) -> tuple[int, ...]:
    text = explained.without(gone) if gone else explained.text
    if text.strip():
        return asker.renderer.render(explained.task, PlacedText(text=text)).ids
    # Nothing is left: an ordinary question may not be empty, but "no word at all" is a legitimate
    # reference. Tokens in front that stand for no character (a BOS mark) are kept.
    rendered = explained.rendered
    n_marks = next((i for i, (a, b) in enumerate(rendered.spans) if a < b), 0)
    frame = rendered.text[: rendered.user[0]] + rendered.text[rendered.user[1] :]
    return rendered.ids[:n_marks] + asker.renderer.ids(frame)
