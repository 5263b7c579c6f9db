"""The dashboard: `lorabench ui`, or `streamlit run app.py`."""

import streamlit as st

from lorabench import ui

st.set_page_config(page_title="lorabench", page_icon=ui.FAVICON, layout="wide")

page = st.navigation(
    [
        st.Page(p.file, title=p.title, icon=p.icon, url_path=p.name, default=p.name == "home")
        for p in ui.PAGES
    ],
    position="top",
)
ui.boot()  # after st.navigation, which has left the old pages mode: no second run here
ui.use_style()
ui.status_bar()
page.run()
