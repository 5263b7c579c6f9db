"""Where text comes from: prompts, tasks, probe batteries, and look-alikes of a trigger.

    load_guardrail("test")              packaged prompts with true labels
    read_prompts("mine.csv")            a user's own prompts, with every dropped row counted
    find_task("guard")                  how a prompt becomes a question
    BATTERIES["structural_v1_41"]       the probes of arXiv 2605.30189
    variants("per RFC 8472 section 3.2")  structured look-alikes and controls

Nothing here knows a model; everything follows from files in the package and a seed.
"""

from lorabench.data.batteries import BATTERIES, Battery, Probe, batteries_with, find_battery
from lorabench.data.compare import kept_parts, shared_words, token_overlap, words_of
from lorabench.data.corpus import Row, frames, load_guardrail, prompts_for_heatmap
from lorabench.data.families import select, variants
from lorabench.data.files import RowFile, map_labels, read_prompts
from lorabench.data.recognise import Part, Recognised, recognise
from lorabench.data.tasks import TASKS, find_task, label_words, task_from_toml, task_to_toml
from lorabench.data.titles import FAMILY_TITLES, FamilyTitle

__all__ = [
    "BATTERIES",
    "FAMILY_TITLES",
    "TASKS",
    "Battery",
    "FamilyTitle",
    "Part",
    "Probe",
    "Recognised",
    "Row",
    "RowFile",
    "batteries_with",
    "find_battery",
    "find_task",
    "frames",
    "kept_parts",
    "label_words",
    "load_guardrail",
    "map_labels",
    "prompts_for_heatmap",
    "read_prompts",
    "recognise",
    "select",
    "shared_words",
    "task_from_toml",
    "task_to_toml",
    "token_overlap",
    "variants",
    "words_of",
]
