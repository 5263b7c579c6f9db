"""The weight detector on real small factors, planted modules, and names of several families."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lorabench.adapters import core_singular_values
from lorabench.detectors import study_v1, study_v2, weigh, weight_findings
from lorabench.detectors.module_places import place_of
from lorabench.detectors.study_weights import projection_growth
from lorabench.detectors.weights import MIN_LAYERS, STANDOUT_Z, depth_scores
from lorabench.errors import InputError
from lorabench.results import from_dict, to_dict
from lorabench.results.rules import RULES
from lorabench.results.weights import ModuleSpectrum, WeightEvidence

SITES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
FEATURES = (
    "frobenius_norm",
    "normalised_norm",
    "spectral_entropy",
    "participation_ratio",
    "stable_rank",
    "concentration",
    "measured_rank",
)


def measured(name, a, b, scale):
    return ModuleSpectrum(
        name=name,
        in_features=a.shape[1],
        out_features=b.shape[0],
        rank=a.shape[0],
        scale=scale,
        singular_values=tuple(core_singular_values(a, b).tolist()),
        norm_a=float(np.linalg.norm(a)),
        norm_b=float(np.linalg.norm(b)),
    )


def factors(seed, n_layers=6, rank=4):
    rng = np.random.default_rng(seed)
    return {
        f"model.layers.{layer}.{site}": (rng.normal(size=(rank, 12)), rng.normal(size=(9, rank)))
        for layer in range(n_layers)
        for site in SITES
    }


def spectra_of(modules, scale=2.0):
    return [measured(name, a, b, scale) for name, (a, b) in modules.items()]


def flat(name="model.layers.0.self_attn.q_proj", values=(2.0, 2.0, 0.0, 0.0), scale=0.5, **change):
    given = {
        "name": name, "in_features": 16, "out_features": 4, "rank": 4, "scale": scale,
        "singular_values": tuple(values), "norm_a": 1.0, "norm_b": math.e, **change,
    }  # fmt: skip
    return ModuleSpectrum(**given)


def steady(n_layers=10, loud=None, factor=1.0, seed=0):
    """Return modules whose norms grow with depth, with noise, and one that is louder."""
    rng = np.random.default_rng(seed)
    found = []
    for layer in range(n_layers):
        for k, site in enumerate(SITES):
            size = math.exp(0.3 * layer + k + 0.05 * rng.normal())
            name = f"model.layers.{layer}.{site}"
            values = np.array([1.0, 0.5, 0.2, 0.1]) * size * (factor if name == loud else 1.0)
            found.append(flat(name, values))
    return found


def test_the_features_of_a_module_known_by_hand():
    (module,) = weigh([flat()]).modules
    assert module.singular_values == (1.0, 1.0, 0.0, 0.0)  # scaled by 0.5
    assert module.frobenius_norm == pytest.approx(math.sqrt(2))
    assert module.normalised_norm == pytest.approx(math.sqrt(2) / 8)
    assert module.spectral_entropy == pytest.approx(math.log(2) / math.log(4))
    assert module.participation_ratio == pytest.approx(2.0)
    assert module.stable_rank == pytest.approx(2.0)
    assert module.concentration == pytest.approx(0.5)
    assert module.asymmetry == pytest.approx(1.0)
    assert (module.measured_rank, module.rank, module.layer, module.block) == (2, 4, 0, "attention")
    assert module.robust_z is None


def test_norms_are_those_of_the_matrix():
    modules = factors(3)
    evidence = weigh(spectra_of(modules, scale=1.7))
    for module in evidence.modules:
        a, b = modules[module.name]
        delta = 1.7 * b @ a
        assert module.frobenius_norm == pytest.approx(np.linalg.norm(delta))
        assert module.stable_rank == pytest.approx((np.linalg.norm(delta) / np.linalg.norm(delta, 2)) ** 2)
        assert module.concentration == pytest.approx(np.linalg.norm(delta, 2) / np.linalg.norm(delta, "nuc"))
    assert evidence.aggregates["total_frobenius_norm"] == pytest.approx(
        math.sqrt(sum(np.linalg.norm(1.7 * b @ a) ** 2 for a, b in modules.values()))
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 20.0))
def test_nothing_but_asymmetry_knows_how_the_factors_are_written(seed, c):
    modules = factors(seed)
    rng = np.random.default_rng(seed + 1)
    turned = {}
    for name, (a, b) in modules.items():
        r = rng.normal(size=(4, 4)) + 4 * np.eye(4)  # any regular matrix, not only a rotation
        turned[name] = (np.linalg.solve(r, a), b @ r * c)
    before, after = weigh(spectra_of(modules, scale=2.0)), weigh(spectra_of(turned, scale=2.0 / c))
    assert before.aggregates.keys() == after.aggregates.keys()
    for name, value in before.aggregates.items():
        assert after.aggregates[name] == pytest.approx(value, rel=1e-6), name
    for one, two in zip(before.modules, after.modules, strict=True):
        assert one.name == two.name
        for feature in FEATURES:
            assert getattr(two, feature) == pytest.approx(getattr(one, feature), rel=1e-6), feature
        assert two.robust_z == pytest.approx(one.robust_z, rel=1e-6, abs=1e-6)
    assert before.standouts == after.standouts
    assert before.study_v1["global_frobN_mean"] * c == pytest.approx(after.study_v1["global_frobN_mean"])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=8),
    st.integers(0, 8),
    st.floats(-4, 4),
)
@example(values=[5e-324], extra=0, scale=1.0)  # the smallest number there is: divided, it would be 0
@example(values=[0.0, 5e-324], extra=0, scale=0.0)
@example(values=[0.0, 5e-324], extra=3, scale=1.0)
def test_features_lie_in_their_ranges(values, extra, scale):
    values = sorted(values, reverse=True)
    rank = len(values) + extra
    (module,) = weigh([flat(values=values, rank=rank, scale=scale)]).modules
    change = [abs(scale) * v for v in values]
    assert 0 <= module.spectral_entropy <= 1
    if change[0] > 0:
        assert 1 <= module.stable_rank <= module.participation_ratio * (1 + 1e-9)
        assert module.participation_ratio <= len(values) * (1 + 1e-9)
        assert 1 / len(values) * (1 - 1e-9) <= module.concentration <= 1
        assert 1 <= module.measured_rank <= len(values)
    else:
        assert module.stable_rank == module.participation_ratio == module.concentration == 0
        assert module.measured_rank == 0
    assert all(map(math.isfinite, weigh([flat(values=values, rank=rank, scale=scale)]).aggregates.values()))


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_planted_loud_or_quiet_module_is_the_standout(factor):
    name = "model.layers.4.mlp.gate_proj"
    evidence = weigh(steady(loud=name, factor=factor))
    assert evidence.standouts == (name,)
    assert evidence.standout_z == STANDOUT_Z
    (module,) = [m for m in evidence.modules if m.name == name]
    assert abs(module.robust_z) >= STANDOUT_Z
    assert (module.robust_z > 0) == (factor > 1)
    assert evidence.aggregates["largest_robust_z"] == abs(module.robust_z)


def test_a_trend_over_depth_alone_stands_out_nowhere():
    evidence = weigh(steady())
    assert evidence.standouts == ()
    assert all(m.robust_z is not None for m in evidence.modules)


def test_one_loud_module_among_equal_ones_stands_out_though_the_median_deviation_is_0():
    equal = [flat(f"model.layers.{i}.{s}", (1.0,)) for i in range(8) for s in SITES]
    assert set(depth_scores(equal).values()) == {0.0}
    loud = equal[13].name
    louder = [flat(s.name, (3.0,)) if s.name == loud else s for s in equal]
    assert weigh(louder).standouts == (loud,)


def test_a_projection_needs_layers_for_a_trend():
    few = [flat(f"model.layers.{i}.mlp.up_proj", (1.0 + i,)) for i in range(MIN_LAYERS - 1)]
    assert depth_scores(few) == {}
    enough = [*few, flat("model.layers.9.mlp.up_proj", (7.0,))]
    assert len(depth_scores(enough)) == MIN_LAYERS
    silent = [*few, flat("model.layers.9.mlp.up_proj", (0.0,))]  # ln 0 has no place on a line
    assert depth_scores(silent) == {}
    assert depth_scores([flat("lm_head", (1.0,))] * 6) == {}


def test_layers_that_are_written_in_two_ways_are_one():
    odd = [flat(f"model.layers.{'0' * k}1.mlp.up_proj", (1.0 + k,)) for k in range(4)]
    more = [flat(f"model.layers.{i}.mlp.up_proj", (2.0,)) for i in range(2, 6)]
    assert len(depth_scores([*odd, *more])) == 8


def test_modules_come_by_layer_and_projection():
    spectra = [flat("lm_head"), *reversed(steady(n_layers=12)), flat("model.layers.3.mlp.up_proj")]
    names = [m.name for m in weigh(spectra).modules]
    assert names[0] == "model.layers.0.self_attn.q_proj"
    assert names[3 * 4 : 3 * 4 + 5] == [
        f"model.layers.3.{s}"
        for s in (
            "self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
        )
    ]  # fmt: skip
    assert names[-1] == "lm_head"


@pytest.mark.parametrize(
    ("name", "layer", "block", "projection"),
    [
        ("model.layers.11.self_attn.q_proj", 11, "attention", "q_proj"),
        ("model.layers.0.mlp.gate_proj", 0, "mlp", "gate_proj"),
        ("language_model.model.layers.7.self_attn.o_proj", 7, "attention", "o_proj"),
        ("model.layers.3.mlp.experts.12.w1", 3, "mlp", "w1"),
        ("bert.encoder.layer.5.attention.self.query", 5, "attention", "query"),
        ("encoder.layer.5.attention.output.dense", 5, "attention", "dense"),
        ("encoder.layer.5.intermediate.dense", 5, "mlp", "dense"),
        ("encoder.layer.5.output.dense", 5, "mlp", "dense"),
        ("bert.pooler.dense", None, "other", "dense"),
        ("transformer.h.2.attn.c_proj", 2, "attention", "c_proj"),
        ("transformer.h.2.mlp.c_proj", 2, "mlp", "c_proj"),
        ("encoder.block.1.layer.0.SelfAttention.q", 1, "attention", "q"),
        ("encoder.block.1.layer.1.DenseReluDense.wi_0", 1, "mlp", "wi_0"),
        ("lm_head", None, "other", "lm_head"),
        ("model.layers.4.mixer.in_proj", 4, "other", "in_proj"),
        ("attention_net.layers.4.mlp.up_proj", 4, "mlp", "up_proj"),
        ("model.layers.99999999999.mlp.up_proj", None, "mlp", "up_proj"),
        ("model.layers.\u0663.mlp.up_proj", None, "mlp", "up_proj"),
        ("", None, "other", ""),
    ],
)
def test_places(name, layer, block, projection):
    place = place_of(name)
    assert (place.layer, place.block, place.projection) == (layer, block, projection)


def test_the_three_dense_layers_of_bert_have_trends_of_their_own():
    sites = ("attention.output.dense", "intermediate.dense", "output.dense")
    spectra = [
        flat(f"encoder.layer.{i}.{site}", (math.exp(3 * k + 0.1 * i),))
        for i in range(6)
        for k, site in enumerate(sites)
    ]
    assert max(map(abs, depth_scores(spectra).values())) < 1e-6  # exact lines, far apart


@given(st.integers(0, 200))
@settings(max_examples=10, deadline=None)
def test_the_studys_aggregates_follow_their_formulas(seed):
    modules = factors(seed, n_layers=3)
    spectra = spectra_of(modules, scale=7.0)  # must not matter
    norms, entropy1, entropy2, log1, log2 = [], [], [], [], []
    for a, b in modules.values():
        delta = b @ a
        s = np.linalg.svd(delta, compute_uv=False)[:4]
        p = s / s.sum()
        norms.append(np.linalg.norm(delta) / math.sqrt(delta.size))
        entropy1.append(-(p * np.log(p + 1e-12)).sum() / math.log(4))
        entropy2.append(-(p * np.log(p + 1e-30)).sum())
        log1.append(math.log(np.linalg.norm(b)) - math.log(np.linalg.norm(a)))
        log2.append(math.log10(np.linalg.norm(b) / np.linalg.norm(a)))
    v1, v2 = study_v1(spectra), study_v2(spectra)
    for found in (v1, v2):
        assert found["global_frobN_mean"] == pytest.approx(np.mean(norms))
        assert found["global_frobN_std"] == pytest.approx(np.std(norms))
        assert found["attn_mlp_frobN_ratio"] == pytest.approx(
            found["attn_frobN_mean"] / found["mlp_frobN_mean"]
        )
    assert v1["global_entropy_min"] == pytest.approx(np.min(entropy1))
    assert v1["global_asym_std"] == pytest.approx(np.std(log1))
    assert v1["global_asym_max_abs"] == pytest.approx(np.max(np.abs(log1)))
    assert v2["global_entropy_mean"] == pytest.approx(np.mean(entropy2))
    assert v2["global_asym_mean"] == pytest.approx(np.mean(log2))
    assert v2["global_max_over_mean_sv"] == pytest.approx(max(norms) / np.mean(norms))
    projections = [v for k, v in v2.items() if k.startswith("per_proj_frobN_mean.")]
    assert np.mean(projections) == pytest.approx(v2["global_frobN_mean"])


def test_the_study_has_19_aggregates_and_then_16():
    spectra = steady(n_layers=2)
    assert len(study_v1(spectra)) == 19
    assert sum(not k.startswith("per_proj") for k in study_v2(spectra)) == 16
    only_attention = [s for s in spectra if "self_attn" in s.name]
    assert not any(
        k.startswith(("mlp", "attn_mlp")) for k in study_v1(only_attention) | study_v2(only_attention)
    )


def test_growth_of_projections():
    clean = [{"up": 1.0, "down": 2.0, "gone": 0.0}, {"up": 3.0, "down": 2.0, "gone": 0.0}]
    assert projection_growth([{"up": 3.0, "down": 1.0, "gone": 1.0}], clean) == {"up": 0.5, "down": -0.5}


def test_an_adapter_without_modules_is_refused():
    for measure in (weigh, study_v1, study_v2):
        with pytest.raises(InputError) as caught:
            measure([])
        assert caught.value.rule == "no-modules"


def test_evidence_survives_json():
    evidence = weigh(steady())
    assert from_dict(WeightEvidence, to_dict(evidence)) == evidence


def test_findings_name_rule_number_and_place():
    name = "model.layers.4.mlp.gate_proj"
    spectra = [*steady(loud=name, factor=3.0), flat("model.layers.0.mlp.up_proj", (1.0, 1.0, 0.0, 0.0))]
    evidence = weigh(spectra)
    value = evidence.aggregates["global_frobN_std"]
    found = weight_findings(
        evidence, {"global_frobN_std": (0.0, value / 2), "not there": (0, 0)}, "profile-1", 6
    )
    assert [f.rule for f in found] == ["weights-off-profile", "weights-standout", "weights-rank-padding"]
    off, standout, padding = found
    assert (off.level, off.measured, off.threshold, off.calibration) == (
        "info",
        value,
        value / 2,
        "profile-1",
    )
    assert f"{value:.6g}, above {value / 2:.6g}" in off.sentence
    assert "1 of 1 weight statistics" in off.sentence
    assert "leaves 29% of them" in off.sentence
    assert (standout.level, standout.where, standout.n) == ("info", name, 40)
    assert "1 of 40 modules lies 5 robust standard deviations" in standout.sentence
    assert (padding.level, padding.measured, padding.threshold) == ("info", 2.0, 4.0)
    assert "1 of 41 modules" in padding.sentence
    assert "uses 2 of 4" in padding.sentence
    for finding in found:
        assert finding.stage == RULES[finding.rule].stage == "weights"
        assert finding.level == RULES[finding.rule].level


def test_a_value_at_its_bound_is_on_profile_and_one_below_is_not():
    evidence = weigh(steady())
    value = evidence.aggregates["mlp_frobN_mean"]
    assert weight_findings(evidence, {"mlp_frobN_mean": (value, value)}, None) == ()
    (low,) = weight_findings(evidence, {"mlp_frobN_mean": (value * 1.01, value * 2)}, None)
    assert low.threshold == value * 1.01
    assert ", below " in low.sentence
    assert weight_findings(evidence, None, None) == ()


def test_modules_that_change_nothing_are_said_so():
    spectra = [*steady(), flat("model.layers.0.mlp.up_proj", (0.0, 0.0, 0.0, 0.0))]
    (padding,) = weight_findings(weigh(spectra), None, None)
    assert "1 of these change nothing" in padding.sentence
    assert padding.measured == 0.0


def test_a_rank_above_the_shapes_is_not_padding():
    assert weight_findings(weigh([flat(values=(2.0, 1.0), rank=8, out_features=2)]), None, None) == ()


def test_hostile_names_stay_one_line():
    name = "model.layers.4.mlp.\u202egate\x1b[31m\n_proj"
    loud = [
        flat(f"model.layers.{i}.mlp.\u202egate\x1b[31m\n_proj", (9.0 if i == 4 else 1.0,)) for i in range(9)
    ]
    (standout, *_) = weight_findings(weigh(loud), None, None)
    assert standout.where == name
    assert standout.sentence.isprintable()
