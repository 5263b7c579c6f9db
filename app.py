"""The dashboard: `lorabench ui`, or `streamlit run app.py`."""

import streamlit as st

from lorabench import ui
from lorabench.config import app_root

st.set_page_config(page_title="lorabench", page_icon=ui.FAVICON, layout="wide")
ui.boot()

page = st.navigation(
    [
        st.Page(p.file, title=p.title, icon=p.icon, url_path=p.name, default=p.name == "home")
        for p in ui.PAGES
        if (app_root() / p.file).is_file()
    ],
    position="top",
)
ui.use_less_padding()
ui.status_bar()
page.run()
