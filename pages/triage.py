"""Allow, review or block, and can others check it?"""

import streamlit as st

from lorabench import ui
from lorabench.ui import triage

ui.boot()
st.title("Triage", anchor=False)
st.caption("Somebody sent you an adapter: allow, review or block, and can others check it?")

triage.arrive()
triage.draw_tab()
