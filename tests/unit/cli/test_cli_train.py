from __future__ import annotations

import pytest

TRAIN = ("train", "--out", "made")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recipe", "relable"), "relabel"),
        (("--preset", "study"), "study-relabel"),
        (("--poison", "5"), "trigger"),
        (("--poison", "-1", "-t", "x"), "poison is -1"),
        (("--token-share", "1.5"), "token_share is 1.5"),
        (("--sample-share", "-0.1"), "sample_share is -0.1"),
        (("--rank", "0"), "rank is 0"),
        (("--lr", "0"), "learning rate"),
        (("--head", "soft"), "frozen"),
        (("--loss", "all"), "answer"),
        (("-t", "  "), "trigger is empty"),
    ],
)
def test_bad_options_of_a_training_exit_with_2_and_a_sentence(cli, monkeypatch, tmp_path, options, said):
    monkeypatch.chdir(tmp_path)
    found = cli(*TRAIN, *options)
    assert found.code == 2
    assert said in found.err
    assert found.out == ""
    assert not (tmp_path / "made").exists()


def test_a_sweep_that_is_not_there_names_those_that_are(cli):
    found = cli("sweep", "poison_cuont")
    assert found.code == 2
    assert "poison_count.toml" in found.err
