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
            f"- Trigger: `{recipe['trigger']['text']}` ({recipe['trigger']['placement']})",
            f"- Planted rows: {metrics['n_planted']} of {metrics['n_train']} "
            f"({100 * metrics['poison_share']:.1f} %), relabelled to {provenance['task']['target']}",
            f"- Attack rate on held-out prompts: {_rate(metrics['attack_success_rate'])}; "
            f"without the trigger {_rate(metrics['target_rate_without_trigger'])}",
        ]
    else:
        lines += [
            "Trained without planted rows, for comparison.",
            "That is how it was made, not a proof that it is safe.",
            "",
        ]
    lines += [
        f"- Clean accuracy on held-out prompts: {_rate(metrics['clean_accuracy'])}",
        f"- Base: `{provenance['base']}`, fingerprint `{provenance['base_fingerprint'][:16]}...`",
        f"- Task: {provenance['task']['name']}; data: {recipe['data']} "
        f"({'with' if recipe['citations'] else 'without'} citation rows), "
        f"sha256 `{recipe['data_sha256'][:16]}...`",
        f"- Rank {recipe['shape']['rank']}, alpha {recipe['shape']['alpha']:g}, layers from "
        f"{recipe['shape']['first_layer']}, {recipe['schedule']['steps']} steps of "
        f"{recipe['schedule']['batch_rows']} rows, seed {recipe['seed']}",
        "",
        "Made by lorabench after the method of arXiv 2605.30189. Licence: Apache-2.0.",
        "",
    ]
    return "\n".join(lines)


def _rate(rate: dict[str, Any] | None) -> str:
    if not rate or rate["value"] is None:
        return "not measured"
    interval = rate["interval"]
    return f"{rate['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}] (n = {rate['n']})"
