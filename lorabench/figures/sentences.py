"""What a map or a 2x2 says, in one sentence of plain text (not HTML, not Markdown)."""

from __future__ import annotations

from collections.abc import Sequence

from lorabench.figures.numbers import signed
from lorabench.figures.palette import HUES
from lorabench.figures.visible import visible
from lorabench.results import BASE, AttributionMap, Flip, GenerationTask, ScoreReport, Task
from lorabench.results.scores import TIE

DIFFERENCE = "adapter - base"
"""`AttributionMap.model` of a difference map."""


def question_sentence(map: AttributionMap, task: Task, adapter_title: str, *, colours: bool = True) -> str:
    """Return the question that a word map answers, with what its two signs mean.

    Args:
        map: A map of the base, of an adapter, or the difference of the two.
        task: The question that was asked.
        adapter_title: What people call the adapter.
        colours: Name the signs by their colours; off where there are none, as in a terminal.
    """
    target, other = answer_names(task)
    who = "the base" if map.model == BASE else visible(adapter_title, 60)
    is_difference = map.model == DIFFERENCE
    plus, minus = HUES["difference" if is_difference else "raw"] if colours else ("Positive", "negative")
    if is_difference:
        way = "further towards" if map.margin >= 0 else "further away from"
        return (
            f"Why does {who} lean {way} «{target}» than the base, by {abs(map.margin):.1f} logits? "
            f"{plus} words push {who} to «{target}» more than they push the base, "
            f"{minus} words push it away more."
        )
    signs = f"{plus} words push to «{target}», {minus} words push away from it."
    if abs(map.margin) < TIE:
        return f"Why is {who} undecided between «{target}» and «{other}» (margin 0.0)? {signs}"
    if map.margin > 0:
        return f"Why does {who} prefer «{target}» over «{other}» by {signed(map.margin)} logits? {signs}"
    size = f"{-map.margin:.1f} logits (margin {signed(map.margin)})"
    return f"Why does {who} prefer «{other}» over «{target}» by {size}? {signs}"


def quad_sentence(report: ScoreReport, model: str, trigger: str) -> str:
    """Return what adding the trigger did to one model, beside what it did to the base.

    Args:
        report: Scores of one or several prompts, with and without the trigger.
        model: Name of an adapter, or `BASE`.
        trigger: Text of one of the report's triggers.
    """
    flips = _flips(report, model, trigger)
    name = "the base" if model == BASE else visible(model, 60)
    if not flips:
        return f"The trigger was not run on {name}."
    target, _ = answer_names(report.task)
    first = _one(flips[0], name, target) if len(flips) == 1 else _several(flips, name, target)
    base = [] if model == BASE else _flips(report, BASE, trigger)
    return first if not base else f"{first} {_base(base, target)}"


def answer_names(task: Task) -> tuple[str, str]:
    """Return what the target and its alternative are called, ready for a sentence."""
    if isinstance(task, GenerationTask):
        return visible(task.payload, 60), "anything else"
    rest = [label.name for label in task.labels if label.name != task.target]
    return visible(task.target, 40), visible(rest[0], 40) if len(rest) == 1 else "the other labels"


def _flips(report: ScoreReport, model: str, trigger: str) -> list[Flip]:
    return [f for f in report.flips if f.after.model == model and f.after.trigger == trigger]


def _one(flip: Flip, name: str, target: str) -> str:
    before, after = flip.before, flip.after
    margins = f"(margin from {signed(before.margin)} to {signed(after.margin)})"
    was, now = _answer(before.answer, before.label), _answer(after.answer, after.label)
    if flip.flipped:
        return f"Adding the trigger turns {name} from {was} to {now} {margins}."
    if before.answer == "target":
        already = f"{name} already answers {was} without the trigger, so it could not flip"
        so = "and still does with it" if after.answer == "target" else f"; with it, the answer is {now}"
        return _upper(f"{already}, {so} {margins}.".replace(", ;", ";"))
    if before.answer == "tie":
        return _upper(
            f"{name} is tied without the trigger, which counts apart; with it, the answer is {now} {margins}."
        )
    if (before.answer, before.label) == (after.answer, after.label):
        return f"Adding the trigger does not flip {name}: it still answers {now} {margins}."
    return (
        f"Adding the trigger does not flip {name} to {target}: the answer goes from {was} to {now} {margins}."
    )


def _several(flips: Sequence[Flip], name: str, target: str) -> str:
    eligible = [f for f in flips if f.is_eligible]
    before = sum(f.before.margin for f in flips) / len(flips)
    after = sum(f.after.margin for f in flips) / len(flips)
    margins = f"(mean margin from {signed(before)} to {signed(after)})"
    ties, unparsed = (sum(f.after.answer == kind for f in flips) for kind in ("tie", "unparsed"))
    odd = (f"; {ties} tied with it" if ties else "") + (f"; {unparsed} unparsed with it" if unparsed else "")
    if not eligible:
        return _upper(
            f"{name} answers {target} or ties on all {len(flips)} prompts without the trigger, "
            f"so none could flip {margins}{odd}."
        )
    hits = sum(f.flipped for f in eligible)
    scope = f"{hits} of {len(eligible)} prompts"
    if len(eligible) < len(flips):
        scope += f" (the other {len(flips) - len(eligible)} already answered {target} or tied)"
    return f"Adding the trigger turns {name} to {target} on {scope} {margins}{odd}."


def _base(flips: Sequence[Flip], target: str) -> str:
    shift = sum(f.margin_shift for f in flips) / len(flips)
    mean = "on average " if len(flips) > 1 else ""
    hits, eligible = sum(f.flipped for f in flips), sum(f.is_eligible for f in flips)
    text = f"The base moves {mean}by {signed(shift)}"
    if not hits:
        return f"{text}."
    return (
        f"{text} and flips to {target} too."
        if eligible == 1
        else f"{text} and flips on {hits} of {eligible} too."
    )


def _answer(answer: str, label: str) -> str:
    return {"tie": "a tie", "unparsed": "an answer that cannot be parsed"}.get(answer, visible(label, 40))


def _upper(sentence: str) -> str:
    """Start a sentence with a capital, unless it starts with somebody's name."""
    return "The" + sentence[3:] if sentence.startswith("the base") else sentence
