"""What is printed: names of methods and data sets as they are, and each level's methods."""

import pytest

from facexray.evaluation.terminal import print_results


@pytest.mark.parametrize("name", ["[v1]", "a [/x]", "[red]", ":fire:"])
def test_names_are_no_markup(name, make_results, capsys):
    results = make_results({name: 0.9, "Deepfakes": 0.8}, **{"model": {"name": name}})
    results["skipped"]["reasons"] = {f"reason {name}": 2}
    print_results(results)
    assert capsys.readouterr().out.count(name) == 2 + 2 * 1  # title, reason, and the method at either level


def test_a_method_without_frames_that_count_is_shown_with_its_videos(make_results, capsys):
    results = make_results({"faceless": 0.5, "Deepfakes": 0.8})
    del results["metrics"]["class"]["frame_level"]["faceless"]
    print_results(results)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "faceless" in line]
    assert "videos" in row
