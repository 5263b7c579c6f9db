"""The allow-listed parse of `adapter_config.json`: constructed from checked fields, never deserialised.

Everything that PEFT's LoraConfig can say beyond LoRA and DoRA either changes the base model, reads
files, imports modules or compiles patterns, so a value other than its default is refused by a
named rule. Target modules are derived from the tensors; patterns are compared as literal names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lorabench.adapters.lora_fields import READ_FIELDS, REFUSED_FIELDS
from lorabench.adapters.problems import OnProblem, raised, reported
from lorabench.adapters.strict_json import parse_object
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

MAX_CONFIG_BYTES = 1024**2
MAX_CONFIG_DEPTH = 8
MAX_MODULES = 5_000
MAX_ALPHA = 1e9
_LITERAL_NAME = re.compile(r"[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*")

TASK_TYPES = (
    "CAUSAL_LM",
    "SEQ_CLS",
    "SEQ_2_SEQ_LM",
    "TOKEN_CLS",
    "QUESTION_ANS",
    "FEATURE_EXTRACTION",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """What an adapter's config says, as far as it is used.

    Attributes:
        rank: Rank of modules without a pattern of their own.
        alpha: Alpha of modules without a pattern of their own.
        use_rslora: Whether the scale is alpha / sqrt(r).
        use_dora: Whether every module must have a magnitude vector.
        rank_pattern: Literal module name (or its end) -> rank.
        alpha_pattern: Literal module name (or its end) -> alpha.
        target_modules: Claimed targets, or None if they are missing or a pattern.
        base_model: `base_model_name_or_path`, a claim.
        notes: Sentences about dropped or unusual fields.
    """

    rank: int
    alpha: float
    use_rslora: bool
    use_dora: bool
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    target_modules: tuple[str, ...] | None
    base_model: str | None
    notes: tuple[str, ...]

    def scale(self, alpha: float, rank: int) -> float:
        """Return the factor of B @ A: alpha / rank, or alpha / sqrt(rank) with rsLoRA."""
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank


def parse_lora_config(data: bytes, *, max_rank: int) -> LoraSettings:
    """Check the bytes of an `adapter_config.json`.

    Args:
        data: The file's content.
        max_rank: Largest accepted rank.

    Raises:
        AdapterRefusedError: With the rule of the check that failed.
    """
    config = parse_object(data, what="adapter_config.json", max_depth=MAX_CONFIG_DEPTH)
    settings = check_lora_config(config, max_rank=max_rank)
    if settings is None:
        raise RuntimeError("a config that was refused nowhere has settings")
    return settings


def check_lora_config(
    config: dict[str, Any], *, max_rank: int, on_problem: OnProblem = raised
) -> LoraSettings | None:
    """Check every field of a parsed config.

    Args:
        config: The parsed JSON object.
        max_rank: Largest accepted rank.
        on_problem: Is told each problem, in the order in which they would refuse it.

    Returns:
        The settings; None if a field that they need is wrong.
    """
    if config.get("peft_type") != "LORA":
        on_problem(
            AdapterRefusedError(
                "not-lora",
                f"adapter_config.json describes an adapter of type '{shown(config.get('peft_type'))}'.",
                "Choose a LoRA adapter; other types are not supported.",
            ),
            "peft_type",
        )
    for field, value in config.items():
        with reported(on_problem, field):
            _check_field(field, value)
    readers: dict[str, tuple[str, Callable[[], Any]]] = {
        "rank": ("r", lambda: _rank("r", config.get("r", 8), max_rank)),
        "alpha": ("lora_alpha", lambda: _alpha("lora_alpha", config.get("lora_alpha", 8))),
        "use_rslora": ("use_rslora", lambda: _flag(config, "use_rslora")),
        "use_dora": ("use_dora", lambda: _flag(config, "use_dora")),
        "rank_pattern": (
            "rank_pattern",
            lambda: {k: _rank(k, v, max_rank) for k, v in _pattern(config, "rank_pattern").items()},
        ),
        "alpha_pattern": (
            "alpha_pattern",
            lambda: {k: _alpha(k, v) for k, v in _pattern(config, "alpha_pattern").items()},
        ),
        "target_modules": ("target_modules", lambda: _targets(config.get("target_modules"))),
        "base_model": ("base_model_name_or_path", lambda: _text(config, "base_model_name_or_path")),
        "notes": ("task_type", lambda: tuple(_notes(config))),
    }
    found: dict[str, Any] = {}
    for name, (field, read) in readers.items():
        with reported(on_problem, field):
            found[name] = read()
    return LoraSettings(**found) if len(found) == len(readers) else None


def _check_field(field: str, value: Any) -> None:
    if field in READ_FIELDS or value is None:
        return
    if field not in REFUSED_FIELDS:
        if value is False or value in ("", [], {}):
            return
        raise AdapterRefusedError(
            "unknown-config-field",
            f"adapter_config.json sets '{shown(field)}', which lorabench does not know.",
            "Look up what it does; if it has no effect on a trained LoRA, remove it from the file.",
        )
    unused, rule, effect, remedy = REFUSED_FIELDS[field]
    if not any(type(value) is type(u) and value == u for u in unused):
        raise AdapterRefusedError(
            rule,
            f"The adapter {effect} ({field} is '{shown(value, limit=60)}' in adapter_config.json).",
            remedy,
        )


def _rank(where: str, value: Any, max_rank: int) -> int:
    if type(value) is not int or value < 1:
        raise _bad_value(where, value, "a whole number above 0")
    if value > max_rank:
        raise AdapterRefusedError(
            "rank-too-large",
            f"adapter_config.json gives '{shown(where)}' the rank {shown(value)}, above {max_rank}.",
            "Use an adapter of a smaller rank, or raise the limit if you trust its source.",
        )
    return value


def _alpha(where: str, value: Any) -> float:
    if type(value) not in (int, float) or value == 0 or not abs(value) <= MAX_ALPHA:
        raise _bad_value(where, value, f"a number other than 0, at most {MAX_ALPHA:.0e} in size")
    return float(value)


def _flag(config: dict[str, Any], field: str) -> bool:
    value = config.get(field)
    if value is not None and type(value) is not bool:
        raise _bad_value(field, value, "true or false")
    return bool(value)


def _text(config: dict[str, Any], field: str) -> str | None:
    value = config.get(field)
    if value is not None and not isinstance(value, str):
        raise _bad_value(field, value, "a text or null")
    return shown(value, limit=300) if value else None


def _pattern(config: dict[str, Any], field: str) -> dict[str, Any]:
    value = config.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_MODULES:
        raise _bad_value(field, value, f"a table of at most {MAX_MODULES:,} entries")
    for key in value:
        if len(key) > 512 or not _LITERAL_NAME.fullmatch(key):
            raise AdapterRefusedError(
                "pattern-not-literal",
                f"{field} of adapter_config.json has the pattern '{shown(key)}', which is not a plain name.",
                "Write the module names out; lorabench never compiles a stranger's regular expression.",
            )
    return value


def _targets(value: Any) -> tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return None
    if not isinstance(value, list) or len(value) > MAX_MODULES or not all(isinstance(v, str) for v in value):
        raise _bad_value("target_modules", value, f"a list of at most {MAX_MODULES:,} names")
    return tuple(value)


def _notes(config: dict[str, Any]) -> list[str]:
    notes = []
    init = config.get("init_lora_weights", True)
    if not (init is None or type(init) is bool or init == "gaussian"):
        notes.append(
            f"init_lora_weights '{shown(init, limit=40)}' was forced to its default: such an "
            "initialisation rewrites the base when it is loaded, and the adapter may have been trained "
            "against that other base."
        )
    if _flag(config, "use_dora"):
        notes.append(
            "It uses DoRA: magnitude vectors also rescale the base weights of its layers. Norm and rank "
            "of its changes are measured on scale * B @ A alone, without that rescaling."
        )
    task = config.get("task_type")
    if task is not None and task not in TASK_TYPES:
        raise _bad_value("task_type", task, f"one of {', '.join(TASK_TYPES)}")
    if task not in (None, "CAUSAL_LM"):
        notes.append(f"task_type is {task}: a head that belongs to it is not part of the adapter.")
    if isinstance(config.get("target_modules"), str):
        notes.append(
            "target_modules is a pattern; it was not compiled, the targets are those of the tensors."
        )
    notes += [
        f"{field} was ignored: the adapted layers are those of the tensors."
        for field in ("exclude_modules", "layers_pattern")
        if config.get(field)
    ]
    if config.get("revision"):
        notes.append(f"It names the base revision '{shown(config['revision'])}', which is only a claim.")
    return notes


def _bad_value(field: str, value: Any, wanted: str) -> AdapterRefusedError:
    return AdapterRefusedError(
        "bad-config-value",
        f"adapter_config.json has '{shown(value, limit=60)}' for '{shown(field)}'; it must be {wanted}.",
        "Export the adapter again with PEFT's save_pretrained.",
    )
