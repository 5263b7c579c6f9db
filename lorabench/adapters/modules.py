"""From tensor names to LoRA modules: every tensor must belong to a checked pair of A and B.

With DoRA each pair also has a magnitude vector.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters.lora_config import MAX_MODULES, LoraSettings
from lorabench.adapters.problems import OnProblem, raised, reported
from lorabench.adapters.safetensors_header import TensorEntry
from lorabench.adapters.text import shown
from lorabench.errors import AdapterRefusedError

_EXPORT = "Export the adapter again with PEFT's save_pretrained, or do not use it."
MAGNITUDE = "magnitude_vector"
"""Side of a DoRA module's vector, as "A" and "B" are those of its matrices."""
# PEFT saves the vector without ".weight" and reads it with or without.
_KEY = re.compile(
    r"base_model\.model\.([A-Za-z0-9_\-.]+)\."
    r"lora_(?:(A|B)\.(?:default\.)?weight|(magnitude_vector)(?:\.(?:default\.)?weight)?)"
)
_PATTERN_WORK = 1_000_000
_V = TypeVar("_V")
_MODULE = re.compile(r"[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*")
_EMBEDDINGS = frozenset(
    {
        "lm_head",
        "embed_tokens",
        "embed_out",
        "embeddings",
        "word_embeddings",
        "wte",
        "wpe",
        "shared",
        "tok_embeddings",
    }
)


@dataclass(frozen=True, slots=True)
class LoraModule:
    """The change of one linear layer W: scale * B @ A is added.

    With DoRA (https://arxiv.org/abs/2402.09353) every row of the sum is then brought to a length of
    its own: m * (W + scale * B @ A) / ||W + scale * B @ A||, by row.

    Attributes:
        name: Module path in the base model, such as "model.layers.0.self_attn.q_proj".
        a: Shape (r, in), float32, read-only.
        b: Shape (out, r), float32, read-only.
        scale: alpha / r, or alpha / sqrt(r) with rsLoRA.
        magnitude: DoRA's m, shape (out,), float32, read-only, any sign; None for plain LoRA.
    """

    name: str
    a: NDArray[np.float32]
    b: NDArray[np.float32]
    scale: float
    magnitude: NDArray[np.float32] | None = None


def tensor_key(module: str, side: str) -> str:
    """Return the name under which PEFT stores "A", "B" or `MAGNITUDE` of a module."""
    return f"base_model.model.{module}.lora_{side}{'' if side == MAGNITUDE else '.weight'}"


Pairs = dict[str, dict[str, TensorEntry]]
"""Module name -> {"A": entry, "B": entry}, with DoRA also {MAGNITUDE: entry}."""


def pair_entries(entries: tuple[TensorEntry, ...], on_problem: OnProblem = raised) -> Pairs:
    """Sort tensors into modules by their names and check the shapes of each pair.

    Args:
        entries: All tensors of the file.
        on_problem: Is told each problem: rules "no-tensors", "unknown-tensor", "embedding-delta",
            "unpaired-tensor", "duplicate-module", "too-many-modules", "shape-mismatch" and
            "empty-tensor".

    Returns:
        The modules whose pair is complete and fits together.
    """
    if not entries:
        on_problem(AdapterRefusedError("no-tensors", "The weight file holds no tensors.", _EXPORT), "")
    pairs: Pairs = {}
    for entry in entries:
        with reported(on_problem, entry.name):
            module, side = split_key(entry.name)
            pair = pairs.setdefault(module, {})
            if side in pair:
                raise AdapterRefusedError(
                    "duplicate-module",
                    f"The tensors '{shown(pair[side].name)}' and '{shown(entry.name)}' are the same thing.",
                    _EXPORT,
                )
            pair[side] = entry
    if len(pairs) > MAX_MODULES:
        problem = f"The adapter changes {len(pairs):,} modules; at most {MAX_MODULES:,} are accepted."
        on_problem(AdapterRefusedError("too-many-modules", problem, "Use a smaller adapter."), "")
    whole: Pairs = {}
    for module, pair in pairs.items():
        with reported(on_problem, module):
            _check_shapes(module, pair)
            whole[module] = pair
    return whole


def split_key(name: str) -> tuple[str, str]:
    """Return the module and the side ("A", "B" or `MAGNITUDE`) of a tensor's name.

    Raises:
        AdapterRefusedError: Rules "embedding-delta" and "unknown-tensor".
    """
    parts = name.split(".")
    if "lora_embedding_A" in parts or "lora_embedding_B" in parts or _EMBEDDINGS.intersection(parts):
        raise AdapterRefusedError(
            "embedding-delta",
            f"The tensor '{shown(name)}' changes token embeddings or the output head.",
            "lorabench compares low-rank changes of inner linear layers only; train it without these.",
        )
    match = _KEY.fullmatch(name)
    if match is None or not _MODULE.fullmatch(match[1]) or ".lora_" in f".{match[1]}":
        raise AdapterRefusedError(
            "unknown-tensor",
            f"The tensor '{shown(name)}' is no matrix A or B and no magnitude vector of a LoRA layer, so "
            "its effect is unknown.",
            "Names must read base_model.model.<module>.lora_A.weight, lora_B.weight or "
            "lora_magnitude_vector, as PEFT writes them.",
        )
    return match[1], match[2] or match[3]


def check_magnitudes(pairs: Pairs, *, use_dora: bool, on_problem: OnProblem = raised) -> None:
    """Compare what the config says about DoRA with the magnitude vectors that are there.

    Args:
        pairs: The modules.
        use_dora: What the config says.
        on_problem: Is told each problem: rules "magnitude-missing" and "magnitude-unexpected".
    """
    for module, pair in pairs.items():
        with reported(on_problem, module):
            if use_dora and MAGNITUDE not in pair:
                raise AdapterRefusedError(
                    "magnitude-missing",
                    f"adapter_config.json says use_dora, but '{shown(module)}' has no magnitude vector.",
                    "Take config and weights from the same training.",
                )
            if not use_dora and MAGNITUDE in pair:
                raise AdapterRefusedError(
                    "magnitude-unexpected",
                    f"The tensor '{shown(pair[MAGNITUDE].name)}' belongs to DoRA, which adapter_config.json "
                    "does not switch on: one program would use it and another would not.",
                    "Take config and weights from the same training; with DoRA use_dora must be true.",
                )


def match_patterns(names: list[str], pattern: dict[str, _V]) -> dict[str, _V]:
    r"""Return the value of the first pattern that fits each name; names without one are left out.

    PEFT compiles a pattern P as `(.*\.)?(P)$`. Here P is a literal: it fits the whole name or
    its end after a dot. A P whose dots would fit other characters as well is refused, because
    PEFT and lorabench would then disagree.

    Raises:
        AdapterRefusedError: Rules "ambiguous-pattern" and "too-many-patterns".
    """
    order = {key: i for i, key in enumerate(pattern)}
    by_length: dict[int, set[str]] = {}
    found: dict[str, _V] = {}
    for name in names:
        parts = name.split(".")
        ends = [".".join(parts[i:]) for i in range(len(parts))]
        for end in ends:
            by_length.setdefault(len(end), set()).add(end)
        fits = [end for end in ends if end in order]
        if fits:
            found[name] = pattern[min(fits, key=order.__getitem__)]
    dotted = [key for key in pattern if "." in key]
    if sum(len(by_length.get(len(key), ())) for key in dotted) > _PATTERN_WORK:
        raise AdapterRefusedError(
            "too-many-patterns",
            f"adapter_config.json has {len(pattern):,} patterns for {len(names):,} modules.",
            "Export it with one rank and alpha, or with shorter patterns.",
        )
    for key in dotted:
        for end in by_length.get(len(key), ()):
            if end != key and all(p in (".", c) for p, c in zip(key, end, strict=True)):
                raise AdapterRefusedError(
                    "ambiguous-pattern",
                    f"The pattern '{shown(key)}' of adapter_config.json also fits '{shown(end)}' when "
                    "it is read as a regular expression.",
                    "Write the names of the modules out in full.",
                )
    return found


def settle(
    names: list[str], ranks: dict[str, int], settings: LoraSettings, on_problem: OnProblem = raised
) -> dict[str, float]:
    """Compare the declared ranks with those of the tensors and return the scale of each module.

    Args:
        names: All module names.
        ranks: Rows of A, by module.
        settings: The config.
        on_problem: Is told each problem: rule "rank-mismatch", or those of `match_patterns`.

    Returns:
        Module name -> scale; modules with a problem are left out.
    """
    own_rank: dict[str, int] = {}
    own_alpha: dict[str, float] = {}
    with reported(on_problem, "rank_pattern"):
        own_rank = match_patterns(names, settings.rank_pattern)
    with reported(on_problem, "alpha_pattern"):
        own_alpha = match_patterns(names, settings.alpha_pattern)
    scales = {}
    for name in names:
        declared = own_rank.get(name, settings.rank)
        if declared == ranks[name]:
            scales[name] = settings.scale(own_alpha.get(name, settings.alpha), declared)
            continue
        on_problem(
            AdapterRefusedError(
                "rank-mismatch",
                f"adapter_config.json declares rank {declared} for '{shown(name)}', but its matrices have "
                f"rank {ranks[name]}.",
                "Take config and weights from the same training.",
            ),
            name,
        )
    return scales


def disagreeing_targets(names: list[str], settings: LoraSettings) -> tuple[list[str], list[str]]:
    """Return the modules that the config's target list leaves out, and targets without tensors.

    Args:
        names: The adapted modules.
        settings: The config; both lists are empty if it has no list of targets.
    """
    if settings.target_modules is None:
        return [], []
    targets = set(settings.target_modules)
    used: set[str] = set()
    missed = []
    for name in names:
        parts = name.split(".")
        fits = targets.intersection(".".join(parts[i:]) for i in range(len(parts)))
        used |= fits
        if not fits:
            missed.append(name)
    return missed if targets != {"all-linear"} else [], sorted(targets - used - {"all-linear"})


def _check_shapes(module: str, pair: dict[str, TensorEntry]) -> None:
    missing = [side for side in "AB" if side not in pair]
    if missing:
        entry = next(iter(pair.values()))
        raise AdapterRefusedError(
            "unpaired-tensor",
            f"The tensor '{shown(entry.name)}' has no matrix {' and no matrix '.join(missing)} beside it.",
            _EXPORT,
        )
    a, b = pair["A"].shape, pair["B"].shape
    if 0 in a or 0 in b:
        problem = f"A matrix of '{shown(module)}' is empty (A is {list(a)}, B is {list(b)})."
        raise AdapterRefusedError("empty-tensor", problem, _EXPORT)
    if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
        raise AdapterRefusedError(
            "shape-mismatch",
            f"The matrices of '{shown(module)}' do not fit together: A is {list(a)}, B is {list(b)}.",
            "A must be (r, in) and B (out, r); convolutions are not supported.",
        )
    if MAGNITUDE in pair and pair[MAGNITUDE].shape != (b[0],):
        length = list(pair[MAGNITUDE].shape)
        raise AdapterRefusedError(
            "shape-mismatch",
            f"The magnitude vector of '{shown(module)}' has the shape {length}, but B is {list(b)}.",
            "It must have one number for each row of B; convolutions are not supported.",
        )
