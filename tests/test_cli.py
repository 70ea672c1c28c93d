import inspect
import io
import json
import subprocess
import sys

import pytest

import facexray
from facexray.cli import COMMANDS, build_parser, main, split_command
from facexray.images import read_image, write_image


def test_help_is_the_table_of_contents(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in COMMANDS)


def test_help_imports_nothing_heavy():
    code = "import sys; from facexray.cli import main; main(['--help']); print([m for m in sys.modules if m in HEAVY])"
    heavy = "HEAVY = {'numpy', 'cv2', 'jsonargparse', 'torch', 'sklearn', 'matplotlib', 'onnxruntime'}; "
    run = subprocess.run([sys.executable, "-c", heavy + code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_for_every_option(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    function = getattr(facexray, name.replace(" ", "_"))
    for parameter in inspect.signature(function).parameters:
        if parameter != COMMANDS[name].flat:
            assert parameter in out
    first_words = " ".join((inspect.getdoc(function) or "").split()[:8])
    assert first_words in out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_a_public_function(name):
    function = name.replace(" ", "_")
    assert function in facexray.__all__
    assert callable(getattr(facexray, function))


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("bench blend --fakes 30", "bench blend", "--fakes 30"),
        ("blend store --out set", "blend", "store --out set"),
        ("validate run.yaml store --seed 3", "validate", "--config run.yaml --store store --seed 3"),
        ("validate run.yaml --store store", "validate", "--config run.yaml --store store"),
        ("validate --store store", "validate", "--store store"),
        ("validate", "validate", ""),
        ("detekt a b", "detekt", "a b"),
    ],
)
def test_a_command_line_is_its_command_and_its_options(line, name, rest):
    assert split_command(line.split()) == (name, rest.split())


def test_an_unknown_command_lists_the_known_ones(capsys):
    assert main(["detekt"]) == 2
    assert "detect" in capsys.readouterr().err


def test_an_error_is_one_line_with_its_remedy(tmp_path, capsys):
    assert main(["blend", str(tmp_path), "--count", "3", "--out", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "facexray prepare" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["--nonsense", "1"], ["--count", "many"], ["--hulls", "[nose]"]])
def test_a_wrong_option_is_told(store, tmp_path, words, capsys):
    try:
        status = main(["blend", str(store.path), "--count", "3", "--out", str(tmp_path / "out"), *words])
    except SystemExit as stop:
        status = stop.code
    assert status in (1, 2)
    assert words[-1].strip("[]") in capsys.readouterr().err or words[0] in capsys.readouterr().err


def test_the_way_from_photographs_to_a_verdict(portraits, tmp_path, capsys):
    photos = [str(path) for path in portraits.values()]
    assert main(["prepare", *photos, "--out", str(tmp_path / "store")]) == 0
    assert "2 faces added" in capsys.readouterr().out
    blend = ["blend", str(tmp_path / "store"), "--count", "4", "--out", str(tmp_path / "set"), "--mode", "sbi"]
    assert main([*blend, "--real_prob", "0"]) == 0
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["settings"]["blending"]["mode"] == "sbi"
    assert manifest["counts"] == {"real": 0, "fake": 4}
    assert main(["landmarks", str(tmp_path / "store"), "--out", str(tmp_path / "aligned")]) == 0
    assert len(json.loads((tmp_path / "aligned" / "landmarks.json").read_text())) == 2
    capsys.readouterr()
    status = main(["detect", photos[0], "--json"])
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert status == {"real": 0, "fake": 3, "cannot tell": 4}[verdict]


def test_a_terminal_that_cannot_show_a_name_gets_it_escaped(portraits, tmp_path, monkeypatch):
    write_image(tmp_path / "人.png", read_image(portraits["hopper"]))
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["detect", str(tmp_path / "人.png")]) in (0, 3, 4)
    terminal.flush()
    assert b"\\u4eba.png" in terminal.buffer.getvalue()


def test_an_unreadable_file_shows_in_the_exit_status(portraits, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_text("no photograph")
    assert main(["detect", str(tmp_path / "broken.jpg"), str(portraits["hopper"])]) == 1
    out = capsys.readouterr().out
    assert "grace_hopper.jpg" in out


def test_options_can_come_from_yaml_and_be_overridden(store, tmp_path):
    (tmp_path / "set.yaml").write_text("mode: bi\nseed: 5\nflip_prob: 0.0\n")
    words = ["blend", str(store.path), "--config", str(tmp_path / "set.yaml"), "--count", "2", "--seed", "6"]
    assert main([*words, "--out", str(tmp_path / "set")]) == 0
    settings = json.loads((tmp_path / "set" / "manifest.json").read_text())["settings"]
    assert (settings["seed"], settings["blending"]["mode"], settings["blending"]["flip_prob"]) == (6, "bi", 0.0)


def test_options_may_be_typed_with_hyphens(portraits, tmp_path):
    words = ["prepare", str(portraits["astronaut"]), "--out", str(tmp_path / "store"), "--min-face=400"]
    assert main(words) == 0
    assert len(facexray.FaceStore(tmp_path / "store")) == 0


def test_a_wrong_option_is_told_without_the_whole_usage(capsys):
    assert main(["train", "--store", "s", "--out", "r", "--optim.iteratons", "3"]) == 2
    err = capsys.readouterr().err
    assert "iteratons" in err
    assert len(err.splitlines()) <= 4


def test_parsers_are_made_from_the_functions():
    parser = build_parser("prepare")
    values = parser.parse_args(["a.jpg", "b.jpg", "--out", "store"])
    assert [str(path) for path in values.sources] == ["a.jpg", "b.jpg"]
    assert values.frames == inspect.signature(facexray.prepare).parameters["frames"].default


def test_the_functions_take_plain_strings_as_a_notebook_gives_them(portraits, tmp_path):
    for portrait in portraits.values():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / portrait.name).write_bytes(portrait.read_bytes())
    assert facexray.prepare(f"{tmp_path}/photos", f"{tmp_path}/store").faces == 2
    facexray.blend(f"{tmp_path}/store", 2, f"{tmp_path}/set", sheet=f"{tmp_path}/sheet.png")
    facexray.landmarks(f"{tmp_path}/store", f"{tmp_path}/aligned")
    again = facexray.prepare(f"{tmp_path}/aligned", f"{tmp_path}/b", landmarks=f"{tmp_path}/aligned/landmarks.json")
    assert again.faces == 2
    (result,) = facexray.detect(str(portraits["hopper"]), f"{tmp_path}/report")
    assert result.score is not None
