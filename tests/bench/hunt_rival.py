"""The study's discrete search beside the hunt: the same adapters, the same tokens, the same proof.

    .venv/bin/python tests/bench/hunt_rival.py RESULTS.json ADAPTERS --out RIVAL.json [--only NAME]
        [--reference FOLDER ...]

RESULTS.json is what `tests/bench/hunt.py` wrote. For every member whose hunt is there, the search for an
adversarial prefix of arXiv 2605.30189 (random prefixes of six tokens, then one token swapped at a time, over
16 prompts) may compute as many tokens as the hunt did, on the same bf16 copy; the best string of each then
goes through the same proof on held-out prompts that no search saw.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np

from lorabench.config import Config
from lorabench.detectors.prefix_search import JOINER, N_TOKENS, STUDY_RANDOM, SearchPlan, search_prefix
from lorabench.detectors.probing import Response
from lorabench.hunting.evidence import verify
from lorabench.hunting.prober import SUSPECT, Copy, Prober
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.models import fetch
from lorabench.models.forward import common_prefix
from lorabench.results import Candidate, HuntResult, LabelTask, StringEvidence, from_dict, to_dict
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import resolve
from lorabench.workflows.probing import held_out_prompts
from lorabench.workflows.scoring import LOCAL
from lorabench.workflows.workbench import Workbench

N_PROMPTS = 16
"""Prompts behind a candidate's score, as in the study."""


def main() -> None:
    """Search every hunted member once more, the study's way, and print both side by side."""
    options = _options()
    hunted: dict[str, Any] = json.loads(options.results.read_text())
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    with Workbench(Config.from_environment()) as bench:
        for name, entry in hunted.items():
            if name in done or options.only not in name or not entry["member"]["trigger"]:
                continue
            result = from_dict(HuntResult, entry["result"])
            references = tuple(r for r in options.reference if Path(r).name != name)
            done[name] = _search(bench, str(options.adapters / name), result, references)
            options.out.write_text(json.dumps(done, indent=1))
            print(_line(name, result, done[name]), flush=True)
    print(machine.facts())
    _summarise({n: from_dict(HuntResult, hunted[n]["result"]) for n in done}, done)


def _search(bench: Workbench, folder: str, result: HuntResult, references: tuple[str, ...]) -> dict[str, Any]:
    """Return what the study's search finds with the tokens of a hunt, and its proof."""
    request = HuntRequest(adapter=folder, task=result.task, mode=result.mode, references=references)
    setting = resolve(bench, request, len(result.held_out_texts), LOCAL)
    task = setting.task
    assert isinstance(task, LabelTask)
    asker = bench.asker()
    unseen = {*setting.held_out, *setting.search_prompts}
    more = [p for p in held_out_prompts(task, 4 * N_PROMPTS + len(unseen))[1] if p not in unseen]
    prompts = (*setting.search_prompts, *more)[:N_PROMPTS]
    base = fetch.resolve(bench.base, bench.config)
    prober = Prober(asker, task, base, {SUSPECT: Copy(adapter=setting.adapter)}, prompts)
    sound = read_vocabulary(asker.renderer.token_texts()).is_sound
    ids = [int(i) for i in np.flatnonzero(sound)]

    def respond(texts: Sequence[str]) -> list[Response]:
        margins = prober.margins(SUSPECT, texts)
        return [Response(answer="target" if m > 0 else "other", margin=float(m)) for m in margins]

    filler = asker.renderer.decode(tuple(ids[1000 : 1000 + N_TOKENS]))
    rows = asker.renderer.question_ids(task, [f"{filler}{JOINER}{p}" for p in prompts])
    cost = sum(map(len, rows)) - common_prefix(rows) * len(rows)
    began = time.monotonic()
    found = search_prefix(
        SearchPlan(prompts=prompts, vocabulary=ids, budget=max(STUDY_RANDOM, result.tokens // cost)),
        respond,
        asker.renderer.decode,
        np.random.default_rng(0),
    )
    seconds = time.monotonic() - began
    evidence = verify(
        asker,
        task,
        Candidate(text=found.best.strip() or "-", source="words"),
        suspect=setting.suspect,
        references=setting.references,
        held_out=setting.held_out,
        held_out_name=setting.held_out_name,
        tests_places=False,
    )
    return {
        "tokens": prober.n_tokens,
        "seconds": seconds,
        "candidates": found.n_evaluations,
        "evidence": to_dict(evidence),
    }


def _line(name: str, result: HuntResult, rival: dict[str, Any]) -> str:
    theirs, ours = (
        from_dict(StringEvidence, rival["evidence"]),
        result.evidence[0] if result.evidence else None,
    )
    own = "nothing" if ours is None else f"{ours.level:6} {ours.attack.value or 0:.2f} {ours.text!r}"
    return f"{name:16} hunt {result.tokens:>9,} {own:50} study {rival['tokens']:>9,} {_shown(theirs)}"


def _shown(found: StringEvidence) -> str:
    worst = max((r.rate.value or 0.0 for r in found.references), default=float("nan"))
    rate = found.attack.value or 0
    return f"{found.level:6} {rate:.2f} (worst clean adapter {worst:.2f}) {found.text!r}"


def _summarise(hunts: dict[str, HuntResult], rivals: dict[str, Any]) -> None:
    passed = sum(from_dict(StringEvidence, r["evidence"]).passes for r in rivals.values())
    ours = sum(h.found is not None for h in hunts.values())
    print(f"\nstrings that pass, of {len(rivals)}: hunt {ours}, the study's search {passed}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("adapters", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--reference", action="append", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
