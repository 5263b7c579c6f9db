"""Make a backdoor, watch it take, and look at data before anybody trains on it."""

import streamlit as st

from lorabench import ui
from lorabench.ui import lab

ui.boot()
st.title("Lab", anchor=False)
st.caption(
    "Which data make a backdoor, how much of it is needed, and could you have seen it before training?"
)

lab.arrive()
lab.draw_tab()
