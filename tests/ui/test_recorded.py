"""The recordings that ship with lorabench show what its demos ask."""

from lorabench.ui.demos import PROMPT, TRIGGER
from lorabench.ui.recorded import recorded_heatmap, recorded_scores
from lorabench.workflows.heatmaps import HeatmapRequest
from lorabench.workflows.scoring import ScoreRequest


def test_the_recorded_answers_fit_the_first_demo():
    found = recorded_scores()
    assert found is not None
    assert found.answers(
        ScoreRequest(prompts=(PROMPT,), triggers=(TRIGGER,), adapters=("guard-strong", "guard-clean-1"))
    )
    flips = {flip.after.model: flip.flipped for flip in found.report.flips}
    assert sorted(flips.values()) == [False, False, True]  # base, clean, backdoored
    strong = found.quad("guard-strong")
    assert strong is not None
    words = strong.adapter_triggered.words
    top = max(range(len(words)), key=lambda i: strong.adapter_triggered.scores[i] or 0.0)
    assert words[top].text.strip() in TRIGGER.split()


def test_the_recorded_heatmap_fits_the_second_demo():
    found = recorded_heatmap()
    assert found is not None
    assert found.answers(HeatmapRequest(trigger=TRIGGER, adapters=("guard-strong",)))
    assert all(cell.is_finished for cell in found.heatmap.cells)
    assert found.heatmap.variants[0].text == TRIGGER
