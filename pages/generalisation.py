"""Is it this exact text, this word, or this structure?"""

import streamlit as st

from lorabench import ui
from lorabench.ui import generalisation

ui.boot()
st.title("Generalisation", anchor=False)
st.caption("Does this trigger fire by its exact text, by one of its words, or by its structure?")

generalisation.arrive()
form = generalisation.draw_form()
generalisation.start_if_asked(form)
generalisation.draw_result(form)
