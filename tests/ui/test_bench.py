"""The shared workbench marks its data folder as in use, as `lorabench ui` does."""

import os

from streamlit.testing.v1 import AppTest

from lorabench.config import Config
from lorabench.workflows.server import registered, running_dashboards
from ui.conftest import close_all


def page():
    from lorabench import ui

    ui.bench()


def test_a_dashboard_started_by_streamlit_leaves_a_note_until_it_ends(data_dir):
    config = Config.from_environment()
    assert not AppTest.from_function(page, default_timeout=60).run().exception
    assert [d.pid for d in running_dashboards(config)] == [os.getpid()]
    close_all()
    assert running_dashboards(config) == ()


def test_the_note_of_the_launcher_stays(data_dir):
    config = Config.from_environment()
    with registered(config, "http://launcher"):
        assert not AppTest.from_function(page, default_timeout=60).run().exception
        close_all()
        assert [d.url for d in running_dashboards(config)] == ["http://launcher"]


def test_a_data_folder_that_cannot_be_written_breaks_no_page(data_dir):
    data_dir.write_text("a file where the folder should be")
    assert not AppTest.from_function(page, default_timeout=60).run().exception
