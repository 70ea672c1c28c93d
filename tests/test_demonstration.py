import json

import pytest
from PIL import Image

from facexray.demonstration import demo
from facexray.errors import SettingsError
from facexray.faces.store import FaceStore


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("demo") / "facexray-demo")


def test_results_hold_originals_and_forgeries_of_both_kinds(out):
    results = json.loads((out / "results.json").read_text())
    modes = [item["mode"] for item in results["items"]]
    assert {mode: modes.count(mode) for mode in modes} == {"real": 2, "bi": 4, "sbi": 4}
    for item in results["items"]:
        assert 0 <= item["score"] <= 1
        assert item["verdict"] in ("real", "fake", "cannot tell")
        assert item["label"] == (item["mode"] != "real")
    assert results["seconds"]


def test_says_how_often_it_is_wrong(tmp_path, capsys):
    out = demo(tmp_path / "demo")
    items = json.loads((out / "results.json").read_text())["items"]
    truths = ["fake" if item["label"] else "real" for item in items]
    right = sum(item["verdict"] == truth for item, truth in zip(items, truths, strict=True))
    unsure = sum(item["verdict"] == "cannot tell" for item in items)
    tally = f"Of 10 verdicts {right} are right, {10 - right - unsure} wrong, {unsure} cannot tell."
    said, page = capsys.readouterr().out, (out / "report.html").read_text(encoding="utf-8")
    assert tally in said
    assert tally in page
    assert said.count(": wrong") == page.count(": wrong") == 10 - right - unsure


def test_forgeries_are_of_one_into_the_other_and_into_themselves(out):
    for item in json.loads((out / "results.json").read_text())["items"]:
        recipe = item["recipe"]
        if item["mode"] == "bi":
            assert recipe["foreground"] not in (None, recipe["background"])
        if item["mode"] == "sbi":
            assert recipe["foreground"] == recipe["background"]


def test_pictures_page_and_store_are_there(out):
    assert len(list((out / "pictures").iterdir())) == 10 * 6
    assert Image.open(out / "overview.png").size == (6 * 164, 24 + 10 * 184)
    assert "What a verdict is worth" in (out / "report.html").read_text(encoding="utf-8")
    assert len(FaceStore(out / "store")) == 2


def test_running_again_keeps_what_others_put_there(out):
    (out / "notes.txt").write_text("mine")
    demo(out)
    assert (out / "notes.txt").read_text() == "mine"


def test_running_again_replaces_an_earlier_demo_with_the_same_scores(out):
    before = [item["score"] for item in json.loads((out / "results.json").read_text())["items"]]
    demo(out)
    assert [item["score"] for item in json.loads((out / "results.json").read_text())["items"]] == before


def test_a_demo_that_was_stopped_can_be_run_again(tmp_path, monkeypatch):
    def stopped(path):
        path.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("facexray.demonstration.portrait_store", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            demo(tmp_path / "demo")


@pytest.mark.parametrize("results", [None, "{}", "no JSON", '{"made_by": "facexray evaluate"}'])
def test_a_folder_that_is_not_a_demo_is_left_alone(tmp_path, results):
    (tmp_path / "thesis.txt").write_text("mine")
    if results:
        (tmp_path / "results.json").write_text(results)
    with pytest.raises(SettingsError, match="no earlier demo"):
        demo(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
