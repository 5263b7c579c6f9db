"""What is installed, where it came from, and what it may do."""

import streamlit as st

from lorabench import ui

ui.boot()
st.title("Models", anchor=False)
st.caption("What is installed, where did it come from, and what does it do to the base?")

ui.blind_switch()

st.header("Adapters", anchor=False)
ui.adapters_section()

st.header("Add an adapter", anchor=False)
st.caption(
    "It is checked byte by byte before it gets a name; a refusal says the rule, the place and the way out."
)
ui.add_section()

st.header("Base models", anchor=False)
ui.bases_section()
