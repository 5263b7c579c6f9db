"""What an adapter's config says that is no reason to refuse it, but worth knowing."""

from __future__ import annotations

import re
from typing import Any

from lorabench.adapters.book import FindingBook
from lorabench.adapters.lora_config import LoraSettings
from lorabench.adapters.modules import disagreeing_targets
from lorabench.adapters.text import shown
from lorabench.results.findings import Fact

_PATH = re.compile(r"[/\\~.]|[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.\-]{0,30}://|\\\\")
_REWRITES = ("pissa", "olora", "corda", "loftq", "lora_ga")
_LARGE_SCALE = 64.0
_CODE_KEYS = (
    "auto_map",
    "custom_pipelines",
    "_attn_implementation_internal",
    "_experts_implementation_internal",
)


def check_base_claim(config: dict[str, Any], book: FindingBook) -> None:
    """Report a base that is named by a path or an address; the claim itself is shown elsewhere."""
    claim = config.get("base_model_name_or_path")
    if isinstance(claim, str) and (_PATH.match(claim) or claim.count("/") > 1 or "\\" in claim):
        book.note(
            "base-claim-path",
            f"The config names its base as '{shown(claim)}', a path or an address instead of a model's name. "
            "It was neither opened nor asked for.",
            where="base_model_name_or_path",
            changes="Choose the base yourself.",
        )


def check_remote_code(content: dict[str, Any], name: str, book: FindingBook) -> None:
    """Report fields that make a loader run Python code of a repository."""
    for field in _CODE_KEYS:
        if content.get(field):
            book.note(
                "remote-code",
                f"{shown(name)} sets '{field}', which makes loaders run code that it names.",
                where=f"{name}: {field}",
                changes="Do not load the folder; ask its author for config and weights alone.",
                facts=(Fact(name=field, value=shown(content[field], limit=300)),),
            )
    if content.get("trust_remote_code"):
        sentence = f"{shown(name)} sets 'trust_remote_code'."
        book.note("remote-code", sentence, where=f"{name}: trust_remote_code")


def note_settings(config: dict[str, Any], settings: LoraSettings | None, book: FindingBook) -> None:
    """Take notes on fields of a config that act on other loaders, or on how numbers are to be read."""
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.startswith(_REWRITES):
        book.note(
            "init-rewrites-base",
            f"init_lora_weights '{shown(init, limit=40)}' rewrites base weights when a loader creates the "
            "adapter, so switching it off does not give the base back. It is taken as plain LoRA here.",
            where="init_lora_weights",
            changes="Convert it to a plain LoRA (PEFT's path_initial_model_for_weight_conversion).",
        )
    elif not (init is None or type(init) is bool or init == "gaussian"):
        sentence = f"init_lora_weights '{shown(init, limit=40)}' was not used."
        book.note("ignored-field", sentence, where="init_lora_weights")
    for field in ("target_modules", "exclude_modules"):
        value = config.get(field)
        if isinstance(value, str) and value not in ("", "all-linear"):
            book.note(
                "pattern-targets",
                f"{field} is the pattern '{shown(value)}'; it was not compiled.",
                where=field,
                changes="Write the names of the modules out.",
            )
    for field in ("layers_pattern", "revision"):
        if config.get(field):
            sentence = f"{field} '{shown(config[field])}' was not used."
            book.note("ignored-field", sentence, where=field)
    if settings is None:
        return
    task = config.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        sentence = f"task_type is {shown(task)}: a head that belongs to it is not part of the adapter."
        book.note("task-head", sentence, where="task_type")
    if settings.use_dora:
        sentence = "It uses DoRA: magnitude vectors also rescale the base weights of its layers."
        book.note("dora", sentence, where="use_dora")
    _note_scale(settings, book)


def _note_scale(settings: LoraSettings, book: FindingBook) -> None:
    scale = settings.scale(settings.alpha, settings.rank)
    if not (
        settings.use_rslora or settings.rank_pattern or settings.alpha_pattern or abs(scale) > _LARGE_SCALE
    ):
        return
    book.note(
        "scale-pattern",
        f"The scale of B @ A is {scale:.6g}{', alpha over the root of r' if settings.use_rslora else ''}; "
        f"{len(settings.rank_pattern):,} ranks and {len(settings.alpha_pattern):,} alphas have patterns.",
        where="lora_alpha",
        measured=scale,
    )


def note_targets(names: list[str], settings: LoraSettings, book: FindingBook) -> None:
    """Report where the list of targets and the tensors disagree.

    Args:
        names: The adapted modules.
        settings: The config.
        book: Takes what is found.
    """
    missed, unused = disagreeing_targets(names, settings)
    if missed:
        book.note(
            "targets-disagree",
            f"target_modules does not name {len(missed):,} of the adapted modules, such as "
            f"'{shown(missed[0])}': PEFT would leave them out, other loaders may not.",
            where=missed[0],
            changes="Take config and weights from the same training.",
        )
    if unused:
        sentence = f"target_modules names {shown(', '.join(unused))}, for which there are no tensors."
        book.note("unused-targets", sentence, where="target_modules")
