"""What the Playground shows right now, under the names of this screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lorabench.results import BASE, Flip, LabelTask, Quad, Score, ScoreReport
from lorabench.ui.names import is_blind, titles
from lorabench.workflows.scoring import AttributeRequest, ScoreRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One adapter and one trigger of a result.

    Attributes:
        request: What was asked, by real names.
        report: The answers; adapters are called what this screen calls them.
        adapter: Real name of the adapter shown.
        title: What this screen calls it; its name in `report`.
        trigger: The trigger shown, or None.
        recorded: Whether this was recorded earlier.
    """

    request: ScoreRequest
    report: ScoreReport
    adapter: str
    title: str
    trigger: str | None
    recorded: bool = False

    @property
    def label_task(self) -> LabelTask | None:
        """The task if its answers are labels, so that words can be explained."""
        return self.report.task if isinstance(self.report.task, LabelTask) else None

    def score(self, model: str, trigger: str | None) -> Score:
        """Return one answer."""
        return self.report.score(model=model, trigger=trigger)

    def flip(self, model: str, trigger: str | None) -> Flip | None:
        """Return what the trigger did to one model, or None without a trigger."""
        wanted = (model, trigger)
        return next((f for f in self.report.flips if (f.after.model, f.after.trigger) == wanted), None)

    def explain(self, method: str) -> AttributeRequest:
        """Return the request for the word maps of this view."""
        return AttributeRequest(
            prompt=self.request.prompts[0],
            trigger=self.trigger,
            adapter=self.adapter,
            method=method,  # type: ignore[arg-type]
            task=self.report.task,
            placement=self.request.placement,
            joiner=self.request.joiner,
            seed=self.request.seed,
        )


def screen_names(report: ScoreReport) -> Mapping[str, str]:
    """Return real name -> what this screen calls it, for the adapters of a report, in its order."""
    names = [m for m in dict.fromkeys(s.model for s in report.scores) if m != BASE]
    return titles(names) if names else {}


def titled_report(report: ScoreReport) -> ScoreReport:
    """Return a report whose adapters are called what this screen calls them."""
    names = screen_names(report)
    if all(name == title for name, title in names.items()):
        return report

    def named(score: Score) -> Score:
        return replace(score, model=names.get(score.model, score.model))

    return replace(
        report,
        scores=tuple(named(s) for s in report.scores),
        flips=tuple(Flip(before=named(f.before), after=named(f.after)) for f in report.flips),
        provenance=_covered(report.provenance),
    )


def titled_quad(quad: Quad, title: str) -> Quad:
    """Return word maps whose adapter is called what this screen calls it."""
    if quad.adapter == title:
        return quad
    triggered = quad.adapter_triggered
    return replace(
        quad,
        adapter=title,
        adapter_plain=replace(quad.adapter_plain, model=title),
        adapter_triggered=replace(triggered, model=title) if triggered else None,
        provenance=_covered(quad.provenance),
    )


def triggers_by_effect(report: ScoreReport, title: str) -> list[str]:
    """Return the triggers, those that flipped this adapter first, then by what they moved it."""
    flipped = {f.after.trigger: f.flipped for f in report.flips if f.after.model == title}
    return sorted(
        (t for t in flipped if t is not None),
        key=lambda t: (flipped[t], report.did(model=title, trigger=t)),
        reverse=True,
    )


def _covered(provenance: Mapping[str, object]) -> dict[str, object]:
    """Return provenance without the adapters' names while they are hidden."""
    hidden = {"adapters": "hidden: blind names"} if is_blind() else {}
    return {**provenance, **hidden}
