"""The workbench as a notebook wants it: three verbs with plain arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorabench.results import Heatmap, Quad, ScoreReport, from_dict
from lorabench.workflows import workbench
from lorabench.workflows.heatmaps import HeatmapRequest
from lorabench.workflows.jobs import follow, submit_heatmap
from lorabench.workflows.scoring import AttributeRequest, ScoreRequest, attribute, score


class Workbench(workbench.Workbench):
    """A base model and its adapters, to be asked from Python.

    Every method takes the options of its request (`ScoreRequest`, `AttributeRequest`,
    `HeatmapRequest`) as keyword arguments.
    """

    def score(
        self,
        prompts: str | Sequence[str],
        triggers: Sequence[str] = (),
        adapters: Sequence[str] = (),
        **options: Any,
    ) -> ScoreReport:
        """Score prompts x triggers x (base and adapters)."""
        chosen = (prompts,) if isinstance(prompts, str) else tuple(prompts)
        return score(
            self, ScoreRequest(prompts=chosen, triggers=tuple(triggers), adapters=tuple(adapters), **options)
        )

    def attribute(self, prompt: str, trigger: str | None, adapter: str, **options: Any) -> Quad:
        """Explain one prompt under the base and an adapter, without and with the trigger."""
        return attribute(self, AttributeRequest(prompt=prompt, trigger=trigger, adapter=adapter, **options))

    def heatmap(self, trigger: str, adapters: Sequence[str], **options: Any) -> Heatmap:
        """Fill a heatmap of the trigger's look-alikes; a job, so an equal one is not repeated."""
        request = HeatmapRequest(trigger=trigger, adapters=tuple(adapters), **options)
        job_id = submit_heatmap(self, request, session="local")
        return from_dict(Heatmap, follow(self.jobs, job_id))
