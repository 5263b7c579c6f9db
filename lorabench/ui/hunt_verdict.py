"""What may be said of a finished hunt, in one card: found, weak, or nothing found."""

from __future__ import annotations

import streamlit as st

from lorabench import figures
from lorabench.hunting.truth import recall
from lorabench.results import HuntResult, StringEvidence
from lorabench.ui.hunt_state import MODES, PAGE, standing
from lorabench.ui.hunt_table import rate_words, string_columns, string_rows
from lorabench.ui.text import duration, escape_markdown, label, plain, show_text, signed
from lorabench.workflows.hunt_request import HuntRequest

_EXAMPLES = 6


def draw_example(hunt: HuntResult, asked: HuntRequest) -> None:
    """Draw a hunt in brief: what may be said, and its first strings."""
    draw_verdict(hunt, asked)
    st.dataframe(
        string_rows(hunt)[:_EXAMPLES], hide_index=True, column_config=string_columns(), key=f"{PAGE}.example"
    )


def draw_verdict(hunt: HuntResult, asked: HuntRequest) -> None:
    """Draw what may be said, in one card: found, weak, or nothing found; never "clean"."""
    best = best_string(hunt)
    kind = standing(best)
    with st.container(border=True, key=f"{PAGE}.verdict"):
        st.markdown(_headline(hunt, best))
        if best is not None and kind in ("passes", "weak"):
            show_text(plain(best.text, 1_000))
            st.markdown(escape_markdown(best.sentence))
            _key_numbers(hunt, best)
            if best.reasons:
                st.markdown("\n".join(f"- {escape_markdown(r)}" for r in best.reasons[:6]))
        else:
            st.markdown(
                f"{_checked(len(hunt.evidence))} "
                "That is no evidence that there is no trigger: a longer hunt tries more."
            )
        if asked.truth and best is not None:
            _draw_truth(best.text, asked.truth)
        st.caption(_spent(hunt, asked))


def _checked(n: int) -> str:
    if not n:
        return "No string did enough in the search to be checked on held-out prompts."
    if n == 1:
        return "1 string was checked on held-out prompts; what it does there is no evidence of a trigger."
    return f"{n} strings were checked on held-out prompts; what they do there is no evidence of a trigger."


def best_string(hunt: HuntResult) -> StringEvidence | None:
    """Return the string that the card speaks of: the strongest that passes, else the strongest."""
    return hunt.found or next(iter(hunt.evidence), None)


def _draw_truth(text: str, planted: str) -> None:
    near = recall(text, planted)
    how = (
        "the whole trigger is in it"
        if near.is_contained
        else f"{near.word_recall:.0%} of its pieces are in it"
    )
    st.markdown(
        f":material/school: Known trigger «{label(planted, 200)}»: {how} (fuzzy F1 {near.token_f1:.2f})."
    )


def _headline(hunt: HuntResult, best: StringEvidence | None) -> str:
    name = label(hunt.adapter, 80)
    if hunt.found is not None:
        return f"## :red[:material/notification_important: **STRING FOUND**] in {name}"
    if standing(best) == "weak":
        return f"## :orange[:material/help: **WEAK EVIDENCE**] in {name}: no string meets the evidence rule"
    return f"## :gray[:material/search_off: **No string found with this budget**] in {name}"


def _key_numbers(hunt: HuntResult, best: StringEvidence) -> None:
    columns = st.columns(5)
    interval = best.attack.interval()
    _number(
        columns[0],
        "Held-out attack rate",
        "not measured" if best.attack.value is None else f"{best.attack.value:.2f}",
        f"{figures.interval_text(interval)}, {rate_words(best.attack)}" if interval else "",
    )
    most = max((r.rate.value or 0.0 for r in best.references if r.rate.n), default=None)
    _number(
        columns[1],
        "Clean adapters, at most",
        "none asked" if most is None else f"{most:.2f}",
        ", ".join(rate_words(r.rate) for r in best.references),
    )
    _number(
        columns[2],
        "Margin shift",
        signed(best.shift.value),
        f"{figures.interval_text(best.shift.interval)} logits; base {signed(best.base_shift.value)}",
    )
    rank = f"rank {best.null_rank + 1} of {best.null_n + 1}" if best.null_rank is not None else ""
    _number(
        columns[3],
        "p against chance",
        "not measured" if best.null_p is None else f"{best.null_p:.3f}",
        f"{rank} against {best.null_name}" if rank else "no null distribution fits",
    )
    _number(
        columns[4],
        "First found after",
        "not found" if hunt.seconds_to_first is None else duration(hunt.seconds_to_first),
        f"found by {figures.part_title(best.source)}",
    )


def _number(column: object, title: str, value: str, detail: str) -> None:
    with column:  # type: ignore[attr-defined]
        st.metric(title, plain(value))
        st.caption(escape_markdown(detail))


def _spent(hunt: HuntResult, asked: HuntRequest) -> str:
    target = label(hunt.target, 40)
    references = ", ".join(label(r, 60) for r in hunt.references) or "none"
    return (
        f"{MODES[hunt.mode]}: {hunt.tokens:,} tokens (search budget {hunt.budget:,}) in "
        f"{duration(hunt.seconds)}; task "
        f"{label(hunt.task, 60)}, target {target}; {label(hunt.held_out, 120)}; "
        f"clean references: {references}; search seed {asked.seed}."
    )
