"""Models in its four states: what is installed, refusals, adding, removing, proof, blind names."""

import io
import shutil
import threading
import zipfile

import pytest

from lorabench.results import InstalledBase
from ui.conftest import labels, markdown_of, run_until


def all_text(at) -> str:
    return "\n".join(str(e.value) for kind in (at.text, at.code) for e in kind) + markdown_of(at)


@pytest.fixture
def adapters_dir(no_base, no_zoo):
    (no_base / "adapters").mkdir(parents=True)
    return no_base / "adapters"


def test_with_nothing_installed_it_says_so(no_base, no_zoo, app):
    at = app("models")
    assert not at.exception
    assert any("No adapter is installed" in i.value for i in at.info)
    assert "SmolLM2-135M-Instruct" in markdown_of(at)
    assert "Fetch" in labels(at)


def test_while_a_base_is_fetched_progress_and_cancel_are_there(no_base, no_zoo, app, monkeypatch):
    may_end = threading.Event()

    def pull(config, base_id, *, on_progress):
        while not may_end.wait(0.02):
            on_progress(40, 100, "Downloading.")  # raises once it is cancelled

    monkeypatch.setattr("lorabench.workflows.models.pull_base", pull)
    at = app("models")
    try:
        at.button(key="models.base.demo.pull").click().run()
        assert not at.exception
        run_until(at, lambda at: at.get("progress"))
        assert "Downloading: 40 of 100" in at.get("progress")[0].proto.text
        at.button(key="models.base.demo.cancel").click().run()
        run_until(at, lambda at: any("The download was cancelled" in i.value for i in at.info))
        assert "Cancel" not in labels(at)
    finally:
        may_end.set()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("no such base", "There is no base model called"),
        ("", "No base is named"),
        ("/nowhere", "no folder at"),
    ],
)
def test_another_base_that_cannot_be_is_refused_in_a_sentence(no_base, no_zoo, app, typed, sentence):
    at = app("models")
    at.text_input(key="models.base_add").set_value(typed)
    at.button(key="models.base_add.pull").click().run()
    run_until(at, lambda at: sentence in at.error[-1].value)
    assert not at.exception
    assert at.button(key="models.base_add.pull")


def test_another_base_is_fetched_and_its_command_shown(no_base, no_zoo, app, monkeypatch, tmp_path):
    folder = str(tmp_path / "my base")
    found = InstalledBase(
        base_id=folder,
        title="my base",
        source=folder,
        licence="unknown",
        n_bytes=1,
        is_present=True,
        fingerprint=None,
        chat_template="none",
    )
    asked = []
    monkeypatch.setattr(
        "lorabench.workflows.models.pull_base",
        lambda config, base_id, *, on_progress: asked.append(base_id) or found,
    )
    at = app("models")
    at.text_input(key="models.base_add").set_value(f" {folder} ")
    at.button(key="models.base_add.pull").click().run()
    run_until(at, lambda at: at.success)
    assert asked == [folder]
    assert "my base is on this machine" in at.success[0].value
    assert f"lorabench ui --base '{folder}'" in [c.value for c in at.code]


def test_an_adapter_is_shown_with_facts_and_claims_apart(adapters_dir, test_adapter, app):
    shutil.copytree(test_adapter, adapters_dir / "mine")
    at = app("models")
    assert list(at.dataframe[0].value["Name"]) == ["mine"]
    assert list(at.dataframe[0].value["Rank"]) == [2]
    assert any("claims, not evidence" in e.label for e in at.expander)
    assert "**card** <b>x</b>" in [c.value for c in at.code]  # as text, not as Markdown
    assert "<b>x</b>" not in markdown_of(at)


def test_a_refused_adapter_shows_the_rule_and_the_way_out(adapters_dir, app):
    (adapters_dir / "bad").mkdir()
    (adapters_dir / "bad" / "adapter_model.bin").write_bytes(b"x")
    at = app("models")
    assert "refused" in at.error[-1].value
    assert "safetensors" in at.error[-1].value


def test_a_folder_is_added_and_removed(adapters_dir, test_adapter, app):
    at = app("models")
    at.segmented_control(key="models.add_from").set_value("folder").run()
    at.text_input(key="models.add_folder").set_value(str(test_adapter))
    at.text_input(key="models.add_name").set_value("copied")
    at.button(key="models.add_go").click().run()
    run_until(at, lambda at: at.success)
    assert (adapters_dir / "copied" / "adapter_config.json").is_file()
    assert list(at.dataframe[0].value["Name"]) == ["copied"]
    at.button(key="models.remove.copied").click().run()
    assert not (adapters_dir / "copied").exists()
    assert not at.exception


def test_a_zip_is_added(adapters_dir, test_adapter, app):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in test_adapter.iterdir():
            archive.write(file, file.name)
    at = app("models")
    at.file_uploader(key="models.add_zip").set_value(
        ("my upload.zip", packed.getvalue(), "application/zip")
    ).run()
    at.button(key="models.add_go").click().run()
    run_until(at, lambda at: at.success)
    assert (adapters_dir / "my-upload").is_dir()


def test_a_zip_that_is_none_is_refused_in_a_sentence(adapters_dir, app):
    at = app("models")
    at.file_uploader(key="models.add_zip").set_value(("x.zip", b"no zip at all", "application/zip")).run()
    at.button(key="models.add_go").click().run()
    run_until(at, lambda at: len(at.error) > 1)  # the first one says that the base is missing
    assert "zip" in at.error[-1].value
    assert not list(adapters_dir.iterdir())


def test_without_a_file_it_asks_for_one(adapters_dir, app):
    at = app("models")
    at.button(key="models.add_go").click().run()
    assert "No archive is chosen" in at.error[-1].value


def test_blind_names_cover_everything(adapters_dir, test_adapter, app):
    shutil.copytree(test_adapter, adapters_dir / "guard-evil")
    at = app("models")
    at.toggle(key="models.blind").set_value(True).run()
    assert list(at.dataframe[0].value["Name"]) == ["Adapter A"]
    assert "guard-evil" not in all_text(at) + at.dataframe[0].value.to_csv()
    at.toggle(key="models.blind").set_value(False).run()
    assert list(at.dataframe[0].value["Name"]) == ["guard-evil"]


@pytest.mark.base
def test_the_binding_proof_is_shown_on_demand(with_base, app):
    at = app("models")
    at.selectbox(key="models.look").set_value("test-adapter").run()
    at.button(key="models.proof.test-adapter.go").click().run()
    run_until(at, lambda at: at.success)
    assert "6 of 6 tensors are bound" in at.success[0].value
    assert "moved by 0." in at.success[0].value


@pytest.mark.base
def test_the_demo_base_is_shown_as_present(with_base, app):
    at = app("models")
    assert "on this machine" in markdown_of(at)
    assert "Check every byte" in labels(at)
