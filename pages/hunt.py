"""Is there a string that turns this adapter's answers, and how sure is that?"""

import streamlit as st

from lorabench import ui
from lorabench.ui import hunt

ui.boot()
st.title("Hunt", anchor=False)
st.caption("Nobody told you the trigger: which strings turn this adapter's answers, and how sure is that?")

hunt.arrive()
hunt.draw()
