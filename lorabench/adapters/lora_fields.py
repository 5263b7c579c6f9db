"""The fields of PEFT's LoraConfig: which are read, and which are refused unless they are not used."""

from __future__ import annotations

from typing import Any

_PLAIN = "Train or export it as plain LoRA (PEFT's LoraConfig with that option at its default)."
_HEAD = "lorabench compares low-rank changes of linear layers only; train it without that option."

# field -> (values that mean "not used", rule, what it would do, remedy)
REFUSED_FIELDS: dict[str, tuple[tuple[Any, ...], str, str, str]] = {
    "bias": (
        ("none",),
        "bias-not-none",
        "trains biases, so switching it off would not give the base back",
        _PLAIN,
    ),
    "lora_bias": ((False,), "lora-bias", "adds biases to B", _PLAIN),
    "fan_in_fan_out": ((False,), "fan-in-fan-out", "stores its weights transposed", _PLAIN),
    "modules_to_save": (([],), "modules-to-save", "replaces whole modules of the base", _HEAD),
    "trainable_token_indices": (([], {}), "trainable-tokens", "replaces token embeddings", _HEAD),
    "layer_replication": (([],), "layer-replication", "duplicates layers of the base", _PLAIN),
    "auto_mapping": (
        ({},),
        "auto-mapping",
        "names a Python module to import",
        "Set auto_mapping to null in adapter_config.json after looking at it: plain LoRA does not need it.",
    ),
    "megatron_config": (({},), "megatron-config", "asks for Megatron, whose module it would import", _PLAIN),
    "megatron_core": (("megatron.core",), "megatron-core", "names a Python module to import", _PLAIN),
    "loftq_config": (({},), "loftq-config", "would rewrite base weights when it is loaded", _PLAIN),
    "eva_config": (({},), "eva-config", "would run an initialisation on data when it is loaded", _PLAIN),
    "corda_config": (({},), "corda-config", "would read files and rewrite base weights when loaded", _PLAIN),
    "lora_ga_config": (({},), "lora-ga-config", "would rewrite base weights when it is loaded", _PLAIN),
    "arrow_config": (({},), "arrow-config", "routes between several adapters", _PLAIN),
    "velora_config": (({},), "velora-config", "asks for VeLoRA", _PLAIN),
    "monteclora_config": (({},), "monteclora-config", "asks for MonteCLoRA, which is random", _PLAIN),
    "kasa_config": (({},), "kasa-config", "asks for KaSA, which rewrites base weights", _PLAIN),
    "use_qalora": ((False,), "qalora", "asks for QALoRA, which pools the inputs", _PLAIN),
    "use_bdlora": ((False, {}), "bdlora", "asks for block-diagonal LoRA", _PLAIN),
    "alora_invocation_tokens": (([],), "alora", "acts only after certain tokens (activated LoRA)", _PLAIN),
    "target_parameters": (
        ([],),
        "target-parameters",
        "adapts bare parameters instead of linear layers",
        _PLAIN,
    ),
    "ensure_weight_tying": ((False,), "weight-tying", "ties its weights to the embeddings", _PLAIN),
}
# Read, or without effect on an adapter that is already trained.
READ_FIELDS = frozenset(
    {
        "alpha_pattern",
        "base_model_name_or_path",
        "exclude_modules",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "target_modules",
        "task_type",
        "use_dora",
        "use_rslora",
    }
)
