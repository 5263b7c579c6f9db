"""What this is, what is loaded, and what one can do in the next minute."""

import streamlit as st

from lorabench import ui

ui.boot()
st.title("lorabench", anchor=False)
st.markdown(
    "A LoRA adapter can hide a trigger. See one fire, measure how far it reaches, and judge one blind."
)

with st.container():  # always there: cards that change their place may be drawn twice for a while
    if ui.base_state().state == "loading":
        st.info("The base model is loading. You can start already; your request waits its turn.")

with ui.shown_errors():
    ui.demo_cards()
    ui.installed_line()

with st.container(border=True, key="home.limits"):
    st.markdown("**What a clean result does not prove**")
    st.markdown(
        "- Only the triggers that were tried were tried: a backdoor whose trigger nobody guessed "
        "stays silent here.\n"
        "- A rate of 0 of 24 still allows a true rate of up to 14 % (95 % interval); "
        "every rate shows its count.\n"
        "- Results hold for this base, this task and these prompts; another base is another "
        "experiment.\n"
        "- So lorabench says *no evidence found with these checks*, and never *safe*."
    )
