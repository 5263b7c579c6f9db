"""Look at a data set before anybody trains on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from lorabench import figures
from lorabench.data.corpus import CORPORA as BUNDLED
from lorabench.figures.entropy import entropy_figure, entropy_table
from lorabench.results.data_inspection import Contradiction, PhraseFinding, TokenFinding
from lorabench.ui.bench import bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest
from lorabench.ui.lab_form import draw_columns
from lorabench.ui.lab_preview import marked
from lorabench.ui.lab_state import FILE_TYPES, PAGE, data_titles, keep_upload
from lorabench.ui.progress import begin, current, wait
from lorabench.ui.state import clean_params
from lorabench.ui.text import escape_markdown, label
from lorabench.workflows.data_inspection import InspectedRows, InspectRequest, MarkedRow, inspect_with_rows
from lorabench.workflows.lab import write_poisoned

_KEY = f"{PAGE}.inspect"
_EXAMPLE = "example"


def draw_inspection() -> None:
    """Draw the choice of data and what was found in it."""
    st.caption(
        "Which words and phrases stand in rows of one class only? A planted token has to, so it shows here; "
        "but so do the ordinary words of a subject. What stands out is a candidate, not a verdict."
    )
    request = _choose()
    pressed = st.button(
        "Inspect",
        type="primary",
        icon=":material/search:",
        key=f"{PAGE}.inspect_run",
        disabled=request is None,
    )
    if pressed and request is not None:
        begin(_KEY, "Counting words and phrases", lambda _: inspect_with_rows(request), tag=request)
    work = current(_KEY)
    if work is None:
        st.info("Press Inspect. A few hundred rows take a second.", icon=":material/search:")
        return
    if not wait(work, key=_KEY):
        return
    with shown_errors():
        inspected: InspectedRows = work.result()
        if work.tag != request:
            st.caption(":material/edit: The choice above has changed since; press Inspect to look at that.")
        _draw(inspected)


def _choose() -> InspectRequest | None:
    titles = {_EXAMPLE: "Example: guardrail prompts with 15 planted rows"} | dict(data_titles())
    kinds = [k for k in titles if k in (_EXAMPLE, *BUNDLED) or not is_guest()]
    left, right = st.columns([2, 1], gap="medium")
    kind = left.selectbox(
        "Data", kinds, format_func=lambda k: titles[k], key=f"{PAGE}.inspect_data", persist_state="session"
    )
    floor = right.number_input(
        "Fewest rows of a word (0: chosen by size)", 0, 1_000, key=f"{PAGE}.floor", persist_state="session"
    )
    data: str = kind
    columns: dict[str, str | None] = {}
    reference: str | None = None
    with shown_errors():
        if kind == _EXAMPLE:
            data = str(write_poisoned(bench().config, 15))
        elif kind == "file":
            given = left.file_uploader(
                "CSV, JSONL or Parquet", type=list(FILE_TYPES), key=f"{PAGE}.inspect_file"
            )
            with left:
                columns = draw_columns(f"{PAGE}.inspect")
            if given is None:
                return None
            data = str(keep_upload(given.name, given.getvalue()))
        if not is_guest():
            known = right.file_uploader(
                "Trusted data to compare with (optional)",
                type=list(FILE_TYPES),
                key=f"{PAGE}.inspect_reference",
            )
            reference = str(keep_upload(known.name, known.getvalue())) if known is not None else None
        return InspectRequest(
            data=data,
            reference=reference,
            floor=int(floor or 0) or None,
            text_column=columns.get("text_column"),
            label_column=columns.get("label_column"),
            response_column=columns.get("response_column"),
        )
    return None


def _draw(inspected: InspectedRows) -> None:
    found, examples = inspected.found, inspected.examples
    for reading in found.readings:
        st.markdown(f"- {escape_markdown(reading.sentence)}")
    sizes = ", ".join(f"{label(y, 40)} {n:,}" for y, n in zip(found.labels, found.class_counts, strict=True))
    st.caption(
        f"{found.n_rows:,} rows: {sizes}. Words in at least {found.floor} rows, {found.n_tested:,} in all."
    )
    if found.contradictions:
        st.subheader("Rows that contradict each other", anchor=False)
        st.dataframe([_contradiction(c) for c in found.contradictions], hide_index=True, key=f"{PAGE}.contra")
        _take_row(examples, [c.extra for c in found.contradictions], "contra")
    for y in found.labels:
        phrases, tokens = found.phrases_of(y), found.tokens_of(y)
        st.subheader(f"{label(y, 60)}", anchor=False)
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown("Phrases of two or more words")
            st.dataframe(
                [_phrase(p) for p in phrases],
                hide_index=True,
                key=f"{PAGE}.phrases.{y}",
                column_config={"phrase": st.column_config.TextColumn(width=190)},
            )
            _take_row(examples, [p.example for p in phrases], f"phrases.{y}")
        with right:
            st.markdown("Words of low entropy")
            st.dataframe([_token(t) for t in tokens], hide_index=True, key=f"{PAGE}.tokens.{y}")
    st.plotly_chart(entropy_figure(found), key=f"{PAGE}.entropy")
    with st.expander("The numbers of the picture"):
        st.dataframe(entropy_table(found), hide_index=True, key=f"{PAGE}.entropy_table")
    with st.expander("What this can and cannot say"):
        for reading in found.readings:
            parts = (reading.threshold, reading.calibration, reading.would_change)
            st.markdown(f"**{reading.screen}**: " + " ".join(escape_markdown(p) for p in parts if p))
    for note in found.notes:
        st.caption(f":material/info: {escape_markdown(note)}")


def _take_row(examples: Mapping[str, tuple[MarkedRow, ...]], texts: Sequence[str], key: str) -> None:
    """Draw the way from a candidate to the screens that try it as a trigger."""
    texts = [text for text in dict.fromkeys(texts) if text in examples]
    if not texts:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{PAGE}.take.{key}"):
        chosen = st.selectbox(
            "Try as a trigger", texts, key=f"{PAGE}.take_text.{key}", width=280,
            format_func=lambda t: figures.visible(t, 60),
        )  # fmt: skip
        values = {"trigger": [chosen] if chosen else None}
        if st.button("Playground", icon=":material/experiment:", key=f"{PAGE}.to_playground.{key}"):
            st.switch_page("pages/playground.py", query_params=clean_params(values))
        if st.button("Look-alikes", icon=":material/grid_on:", key=f"{PAGE}.to_heatmap.{key}"):
            st.switch_page("pages/generalisation.py", query_params=clean_params(values))
    if chosen:
        with st.expander("Rows that hold it"):
            st.dataframe(
                [
                    {
                        "row": figures.visible(marked(r.text, r.spans), 300),
                        "label": figures.visible(r.label, 60),
                    }
                    for r in examples[chosen]
                ],
                hide_index=True,
                key=f"{PAGE}.rows_with.{key}",
            )


def _phrase(found: PhraseFinding) -> dict[str, object]:
    return {
        "phrase": figures.visible(found.text, 120),
        "rows": found.n_documents,
        "of this class": _share(found),
        "bits": round(found.surprise_bits, 1),
        "begin": found.n_first,
        "end": found.n_last,
    }


def _token(found: TokenFinding) -> dict[str, object]:
    return {
        "word": figures.visible(found.token, 60) + (" (any)" if found.is_shape else ""),
        "rows": found.n_documents,
        "of this class": _share(found),
        "H(y|t) bits": round(found.entropy_bits, 3),
        "log10 p, corrected": round(found.log10_p_corrected, 1),
    }


def _share(found: PhraseFinding | TokenFinding) -> str:
    interval = found.rate.interval()
    if interval is None or found.rate.value is None:
        return "not measured"
    return f"{found.rate.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _contradiction(found: Contradiction) -> dict[str, object]:
    return {
        "extra words": figures.visible(found.extra, 120) or "(the same text)",
        "where": found.place,
        "pairs": found.n,
        "label with them": figures.visible(found.label_with, 40),
        "label without": figures.visible(found.label_without, 40),
    }
