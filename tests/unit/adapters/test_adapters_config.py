from __future__ import annotations

import json
import math

import pytest
from adapter_files import CONFIG, refused

from lorabench.adapters import parse_lora_config
from lorabench.adapters.modules import match_patterns

# What LoraConfig().to_dict() of peft 0.21.2 writes.
PEFT_DEFAULTS = {
    "task_type": None, "peft_type": "LORA", "auto_mapping": None, "peft_version": "0.21.2",
    "base_model_name_or_path": None, "revision": None, "inference_mode": False, "r": 8,
    "target_modules": None, "exclude_modules": None, "lora_alpha": 8, "lora_dropout": 0.0,
    "fan_in_fan_out": False, "bias": "none", "use_rslora": False, "modules_to_save": None,
    "init_lora_weights": True, "layers_to_transform": None, "layers_pattern": None, "rank_pattern": {},
    "alpha_pattern": {}, "megatron_config": None, "megatron_core": "megatron.core",
    "trainable_token_indices": None, "loftq_config": {}, "eva_config": None, "corda_config": None,
    "lora_ga_config": None, "use_dora": False, "velora_config": None, "alora_invocation_tokens": None,
    "use_qalora": False, "qalora_group_size": 16, "monteclora_config": None, "layer_replication": None,
    "lora_bias": False, "target_parameters": None, "use_bdlora": None, "arrow_config": None,
    "kasa_config": None, "ensure_weight_tying": False,
}  # fmt: skip


def parse(max_rank: int = 64, **changes: object):
    return parse_lora_config(json.dumps(CONFIG | changes).encode(), max_rank=max_rank)


def test_the_defaults_of_peft_are_accepted_without_a_note():
    settings = parse_lora_config(json.dumps(PEFT_DEFAULTS).encode(), max_rank=64)
    assert (settings.rank, settings.alpha, settings.notes) == (8, 8.0, ())


def test_scale():
    assert parse().scale(4.0, 2) == 2.0
    assert parse(use_rslora=True).scale(4.0, 2) == pytest.approx(4 / math.sqrt(2))


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("not-lora", {"peft_type": "IA3"}),
        ("not-lora", {"peft_type": None}),
        ("not-lora", {"peft_type": ["LORA"]}),
        ("bad-config-value", {"use_dora": "no"}),
        ("bad-config-value", {"use_dora": 1}),
        ("bias-not-none", {"bias": "all"}),
        ("lora-bias", {"lora_bias": True}),
        ("fan-in-fan-out", {"fan_in_fan_out": True}),
        ("fan-in-fan-out", {"fan_in_fan_out": 0}),
        ("modules-to-save", {"modules_to_save": ["classifier"]}),
        ("trainable-tokens", {"trainable_token_indices": [1]}),
        ("layer-replication", {"layer_replication": [[0, 4], [2, 5]]}),
        ("auto-mapping", {"auto_mapping": {"parent_library": "os"}}),
        ("megatron-config", {"megatron_config": {"a": 1}}),
        ("megatron-core", {"megatron_core": "os"}),
        ("loftq-config", {"loftq_config": {"loftq_bits": 4}}),
        ("eva-config", {"eva_config": {"rho": 2.0}}),
        ("corda-config", {"corda_config": {"cache_file": "/etc/passwd"}}),
        ("lora-ga-config", {"lora_ga_config": {"a": 1}}),
        ("arrow-config", {"arrow_config": {"top_k": 3}}),
        ("velora-config", {"velora_config": {"a": 1}}),
        ("monteclora-config", {"monteclora_config": {"a": 1}}),
        ("kasa-config", {"kasa_config": {"a": 1}}),
        ("qalora", {"use_qalora": True}),
        ("bdlora", {"use_bdlora": {"nblocks": 2}}),
        ("alora", {"alora_invocation_tokens": [1, 2]}),
        ("target-parameters", {"target_parameters": ["experts.w1"]}),
        ("weight-tying", {"ensure_weight_tying": True}),
        ("unknown-config-field", {"_attn_implementation_internal": "a/kernel"}),
        ("unknown-config-field", {"\u202eevil\n": 1}),
        ("bad-config-value", {"r": 0}),
        ("bad-config-value", {"r": True}),
        ("bad-config-value", {"r": 2.0}),
        ("bad-config-value", {"r": None}),
        ("bad-config-value", {"lora_alpha": 0}),
        ("bad-config-value", {"lora_alpha": "16"}),
        ("bad-config-value", {"lora_alpha": 1e10}),
        ("bad-config-value", {"lora_alpha": 10**400}),
        ("bad-config-value", {"use_rslora": 1}),
        ("bad-config-value", {"task_type": "ROBOT"}),
        ("bad-config-value", {"task_type": {}}),
        ("bad-config-value", {"target_modules": {"a": 1}}),
        ("bad-config-value", {"target_modules": [1]}),
        ("bad-config-value", {"rank_pattern": ["q_proj"]}),
        ("bad-config-value", {"rank_pattern": {"q_proj": "2"}}),
        ("bad-config-value", {"alpha_pattern": {f"m{i}": 1 for i in range(5001)}}),
        ("bad-config-value", {"base_model_name_or_path": ["x"]}),
        ("rank-too-large", {"r": 65}),
        ("rank-too-large", {"rank_pattern": {"q_proj": 65}}),
        ("pattern-not-literal", {"rank_pattern": {"(a+)+$": 2}}),
        ("pattern-not-literal", {"alpha_pattern": {".*q_proj": 2}}),
        ("pattern-not-literal", {"alpha_pattern": {"^model.q_proj": 2}}),
        ("json-too-deep", {"x": [[[[[[[[[]]]]]]]]]}),
    ],
)  # fmt: skip
def test_refused_fields(rule, changes):
    with refused(rule):
        parse(**changes)


def test_infinite_alpha_is_refused():
    with refused("bad-config-value"):
        parse_lora_config(b'{"peft_type": "LORA", "lora_alpha": 1e999}', max_rank=8)
    with refused("bad-json"):
        parse_lora_config(b'{"peft_type": "LORA", "lora_alpha": NaN}', max_rank=8)


def test_duplicate_keys_are_refused():
    with refused("duplicate-key", "lora_alpha"):
        parse_lora_config(b'{"peft_type": "LORA", "lora_alpha": 1, "lora_alpha": 64}', max_rank=8)


def test_unset_unknown_fields_are_ignored():
    assert parse(a=None, b=False, c="", d=[], e={}).notes == ()


def test_dora_is_accepted_and_noted():
    settings = parse(use_dora=True)
    assert settings.use_dora
    assert any("DoRA" in note and "rescale the base weights" in note for note in settings.notes)
    assert not parse(use_dora=False).use_dora
    assert not parse(use_dora=None).use_dora


@pytest.mark.parametrize("value", ["pissa", "olora", "eva", "pissa_niter_4", {"x": 1}, 1])
def test_other_initialisations_are_noted(value):
    (note,) = parse(init_lora_weights=value).notes
    assert "init_lora_weights" in note


def test_patterns_for_targets_are_noted_never_compiled():
    settings = parse(target_modules="(a+)+$", exclude_modules="(b+)+$", revision="abc", task_type="SEQ_CLS")
    assert settings.target_modules is None
    assert len(settings.notes) == 4


def test_the_first_fitting_pattern_wins():
    names = ["model.layers.0.q_proj", "model.layers.1.q_proj", "model.layers.1.k_proj", "other.xq_proj"]
    pattern = {"layers.1.q_proj": 3, "q_proj": 4, "model.layers.1.q_proj": 5}
    assert match_patterns(names, pattern) == {"model.layers.0.q_proj": 4, "model.layers.1.q_proj": 3}


def test_a_pattern_that_a_regex_would_read_otherwise_is_refused():
    with refused("ambiguous-pattern"):
        match_patterns(["model.q_proj", "model.q.proj"], {"q.proj": 3})


def test_too_many_patterns_are_refused_quickly():
    names = [f"m.x{i:04d}" for i in range(3000)]
    with refused("too-many-patterns"):
        match_patterns(names, dict.fromkeys((f"m.y{i:04d}" for i in range(3000)), 1))
