import re
import shlex
from pathlib import Path

import pytest

from facexray.cli import COMMANDS, build_parser, split_command

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh-CN.md"]
PAGES = [*READMES, "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))]


def code_of(page):
    return re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def facexray_lines(page):
    for language, block in code_of(page):
        if language == "sh":
            yield from (line for line in block.splitlines() if line.startswith("facexray "))


@pytest.mark.parametrize(
    ("page", "line"),
    [(page, line) for page in PAGES for line in facexray_lines(page)],
    ids=lambda value: str(value)[:40],
)
def test_every_command_line_in_the_docs_parses(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(line, comments=True)
    if "--help" not in words:
        name, options = split_command(words[1:])
        build_parser(name).parse_args(options)


def test_there_are_command_lines_to_check():
    assert sum(1 for _ in facexray_lines("README.md")) >= 7


def test_both_languages_give_the_same_code():
    english, chinese = ([re.sub(r"#.*", "", block) for _, block in code_of(page)] for page in READMES)
    assert english == chinese


@pytest.mark.parametrize("page", READMES)
def test_the_table_lists_every_command(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert all(f"| `facexray {name}" in text for name in COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []


def test_ci_runs_the_lines_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for step, must in (("demo", "facexray demo"), ("tests", "pytest")):
        block = re.search(rf"<!-- ci: {step} -->\n```sh\n(.+)\n```", text)
        assert block
        assert must in block[1]
        assert "\n" not in block[1]


@pytest.mark.parametrize("page", ["docs/blended-sets.md"])
def test_the_hdf5_example_runs(page, store, tmp_path, monkeypatch, capsys):
    from facexray.blending.command import blend

    blend(store.path, 2, tmp_path / "blended", format="hdf5")
    monkeypatch.chdir(tmp_path)
    example = next(block for language, block in code_of(page) if language == "python" and "h5py" in block)
    exec(example)
    assert "(256, 256, 3)" in capsys.readouterr().out
