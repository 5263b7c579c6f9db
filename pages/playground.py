"""Does this text, with this trigger, flip this adapter, and which words did it?"""

import streamlit as st

from lorabench import ui
from lorabench.ui import playground

ui.boot()
st.title("Playground", anchor=False)
st.caption("Does this text, with this trigger, flip this adapter, and which words did it?")

request = playground.form()
if request is not None:
    playground.ask(request)

found = playground.answers()
if found is not None:
    with ui.shown_errors():
        view = playground.show_answers(found)
        playground.show_words(view)
        playground.show_files(view)

with ui.shown_errors():
    playground.show_pins()
