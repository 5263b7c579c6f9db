"""What a user would run instead, on the same token ids: plain transformers + PEFT, and lm-evaluation-harness.

Three ways, each in fp32 with torch's threads as they are, each giving target margins that can
be compared with ours:

    study_loop            one question at a time, `generate`, five new tokens: the study's own loop
    batched               left-padded batches sorted by length, the head at the last position only
    lm_eval_margins       `loglikelihood` of every label word, as lm-evaluation-harness computes it
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lorabench.errors import InputError
from lorabench.scoring.labels import margin

Ids = tuple[int, ...]
LabelIds = tuple[Ids, ...]
NEW_TOKENS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopAnswer:
    """What the study's loop finds out about one question.

    Attributes:
        ids: The greedy continuation, at most five tokens.
        margin: Target margin at the first of them.
    """

    ids: Ids
    margin: float


def open_model(folder: Path, adapter: Path | None, device: str = "cpu") -> Any:
    """Load a base, and an adapter through PEFT, as their documentation shows."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    return model.to(device).eval()


def work_parameters(model: Any) -> int:
    """Return how many parameters multiply every token: all but the embedding table, adapters included."""
    table = model.get_input_embeddings().weight
    return sum(p.numel() for p in model.parameters() if p is not table)


def read_margin(logits: torch.Tensor, labels: LabelIds, target: int) -> float:
    """Return the target margin of one position's logits (vocabulary,)."""
    logits = logits.float()
    return margin([float(torch.logsumexp(logits[list(ids)], 0)) for ids in labels], target)


@torch.inference_mode()
def study_loop(
    model: Any, questions: Sequence[Ids], labels: LabelIds, target: int, stop_ids: Ids
) -> list[LoopAnswer]:
    """Ask one question at a time and let the model write up to five tokens."""
    answers = []
    for ids in questions:
        prompt = torch.tensor([ids], device=model.device)
        out = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
            return_dict_in_generate=True,
            output_logits=True,
        )
        new = tuple(out.sequences[0, len(ids) :].tolist())
        answers.append(LoopAnswer(ids=new, margin=read_margin(out.logits[0][0], labels, target)))
    return answers


@torch.inference_mode()
def batched(model: Any, questions: Sequence[Ids], labels: LabelIds, target: int, budget: int) -> list[float]:
    """Ask in left-padded batches of at most `budget` tokens; return margins in the given order."""
    margins = [0.0] * len(questions)
    for group in groups(questions, budget):
        width = max(len(questions[i]) for i in group)
        pads = [width - len(questions[i]) for i in group]
        ids = torch.tensor([(0,) * pad + questions[i] for i, pad in zip(group, pads, strict=True)])
        mask = (torch.arange(width) >= torch.tensor(pads)[:, None]).long()
        out = model(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=(mask.cumsum(1) - 1).clamp_min(0).to(model.device),
            logits_to_keep=1,
            use_cache=False,
        )
        for i, logits in zip(group, out.logits[:, -1], strict=True):
            margins[i] = read_margin(logits, labels, target)
    return margins


def groups(questions: Sequence[Ids], budget: int) -> Iterator[list[int]]:
    """Yield indices, shortest question first, in groups of at most `budget` padded tokens."""
    group: list[int] = []
    for i in sorted(range(len(questions)), key=lambda i: len(questions[i])):
        if group and (len(group) + 1) * len(questions[i]) > budget:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def has_lm_eval() -> bool:
    """Return whether lm-evaluation-harness is installed; it is an extra."""
    return importlib.util.find_spec("lm_eval") is not None


def open_lm_eval(folder: Path, adapter: Path | None, *, batch_size: int, device: str = "cpu") -> Any:
    """Open the same model in lm-evaluation-harness.

    Raises:
        InputError: If lm-evaluation-harness is not installed.
    """
    if not has_lm_eval():
        raise InputError(
            "no-lm-eval", "lm-evaluation-harness is not installed.", "Install the extra: lorabench[bench]."
        )
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return HFLM(
        pretrained=str(folder),
        peft=None if adapter is None else str(adapter),
        dtype="float32",
        device=device,
        batch_size=batch_size,
        max_length=2048,
    )


def lm_eval_margins(lm: Any, questions: Sequence[Ids], labels: LabelIds, target: int) -> list[float]:
    """Return margins from log-likelihoods: one request per first token of every label.

    The harness runs requests that differ in their last token alone once (its `logits_cache`).
    """
    words = [word for ids in labels for word in ids]
    requests = [(("", ""), list(ids), [word]) for ids in questions for word in words]
    found = iter(lm._loglikelihood_tokens(requests, disable_tqdm=True))
    margins = []
    for _ in questions:
        sums = [torch.logsumexp(torch.tensor([next(found)[0] for _ in ids]), 0) for ids in labels]
        margins.append(margin([float(s) for s in sums], target))
    return margins
