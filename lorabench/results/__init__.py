"""The frozen values that flow through lorabench; packages above hold the behaviour.

    text -> tokens -> scores -> flips, attributions, rates -> figures, reports, pages

Every value can be printed, compared, saved as JSON (`to_dict`) and tested. None of them
holds a model, a tensor or an open file.
"""

from lorabench.results.adapters import (
    AdapterFacts,
    BindingProof,
    Claims,
    InstalledAdapter,
    InstalledBase,
    ModuleFacts,
)
from lorabench.results.attributions import AttributionMap, CheckedMap, DeletionCurve, Quad, Word
from lorabench.results.convert import digest, from_dict, to_dict
from lorabench.results.grids import CellRow, Column, GeneralisationReading, Heatmap, HeatmapCell
from lorabench.results.scores import BASE, Flip, Interval, Rate, Score, ScoreReport
from lorabench.results.tasks import GenerationTask, Label, LabelTask, Task
from lorabench.results.triggers import PlacedText, Placement, Trigger, Variant

__all__ = [
    "BASE",
    "AdapterFacts",
    "AttributionMap",
    "BindingProof",
    "CellRow",
    "CheckedMap",
    "Claims",
    "Column",
    "DeletionCurve",
    "Flip",
    "GeneralisationReading",
    "GenerationTask",
    "Heatmap",
    "HeatmapCell",
    "InstalledAdapter",
    "InstalledBase",
    "Interval",
    "Label",
    "LabelTask",
    "ModuleFacts",
    "PlacedText",
    "Placement",
    "Quad",
    "Rate",
    "Score",
    "ScoreReport",
    "Task",
    "Trigger",
    "Variant",
    "Word",
    "digest",
    "from_dict",
    "to_dict",
]
