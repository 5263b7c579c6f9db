"""The dashboard's side of lorabench; the only package that knows Streamlit.

A page is a flat script: `ui.boot()`, title, form, one workflow call under `ui.begin`, figures.

    import streamlit as st
    from lorabench import figures, ui

    ui.boot()
    st.title("Playground")
    ...widgets with keys "playground.<widget>"...
    if st.button("Run", type="primary", key="playground.run"):
        b = ui.bench()
        ui.begin("playground.score", "Scoring", lambda work: score(b, request, work.caller), tag=request)
    work = ui.current("playground.score")
    if work is None:
        ...empty state...
    elif ui.wait(work, key="playground.score"):
        with ui.shown_errors():
            report = work.result()

Text of prompts, adapters and tokens goes to `st.text`, `st.code`, dataframes, or through
`ui.escape_markdown`; adapters are called what `ui.display_name` says.
"""

from lorabench.ui.adapters_view import adapters_section, add_section, blind_switch
from lorabench.ui.bases_view import bases_section
from lorabench.ui.bench import BaseState, base_id, base_state, bench, session_id
from lorabench.ui.boot import boot
from lorabench.ui.demos import CANDIDATES, DEMOS, PAGES, PROMPT, TRIGGER, Demo, demo_values
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import (
    cancel_job,
    heatmap_row_limit,
    is_guest,
    is_lan,
    may_cancel,
    remember_job,
    require_presenter,
    role,
    visible_job,
    visible_jobs,
)
from lorabench.ui.home_view import demo_cards, installed_line
from lorabench.ui.names import (
    adapter_tokens,
    adapters_param,
    display_name,
    installed_adapters,
    is_blind,
    letters,
    set_blind,
    titles,
    usable_adapters,
)
from lorabench.ui.progress import Work, begin, current, forget, has_live_work, job_panel, progress_text, wait
from lorabench.ui.recorded import recorded_badge, recorded_heatmap, recorded_scores
from lorabench.ui.state import (
    Session,
    arrived,
    build_link,
    choice_param,
    clean_params,
    copy_link,
    flag_param,
    int_param,
    session,
    take_flag,
    text_param,
    texts_param,
    write_params,
)
from lorabench.ui.status import base_problem_shown, status_bar
from lorabench.ui.tasks import put_task, task_param, task_picker, task_values
from lorabench.ui.text import (
    duration,
    escape_markdown,
    label,
    megabytes,
    percent,
    plain,
    sentence,
    show_text,
    signed,
)
from lorabench.ui.theme import FAVICON, current_theme, use_style
from lorabench.ui.widgets import adapter_picker, models_link, one_adapter_picker

__all__ = [
    "CANDIDATES",
    "DEMOS",
    "FAVICON",
    "PAGES",
    "PROMPT",
    "TRIGGER",
    "BaseState",
    "Demo",
    "Download",
    "Session",
    "Work",
    "adapter_picker",
    "adapter_tokens",
    "adapters_param",
    "adapters_section",
    "add_section",
    "arrived",
    "base_id",
    "base_problem_shown",
    "base_state",
    "bases_section",
    "begin",
    "bench",
    "blind_switch",
    "boot",
    "build_link",
    "cancel_job",
    "choice_param",
    "clean_params",
    "copy_link",
    "current",
    "current_theme",
    "demo_cards",
    "demo_values",
    "display_name",
    "download_row",
    "duration",
    "escape_markdown",
    "flag_param",
    "forget",
    "has_live_work",
    "heatmap_row_limit",
    "installed_adapters",
    "installed_line",
    "int_param",
    "is_blind",
    "is_guest",
    "is_lan",
    "job_panel",
    "label",
    "letters",
    "may_cancel",
    "megabytes",
    "models_link",
    "one_adapter_picker",
    "percent",
    "plain",
    "progress_text",
    "put_task",
    "recorded_badge",
    "recorded_heatmap",
    "recorded_scores",
    "remember_job",
    "require_presenter",
    "role",
    "sentence",
    "session",
    "session_id",
    "set_blind",
    "show_error",
    "show_text",
    "shown_errors",
    "signed",
    "status_bar",
    "take_flag",
    "task_param",
    "task_picker",
    "task_values",
    "text_param",
    "texts_param",
    "titles",
    "usable_adapters",
    "use_style",
    "visible_job",
    "visible_jobs",
    "wait",
    "write_params",
]
