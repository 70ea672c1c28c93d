from pathlib import Path

import pytest

from facexray.errors import SettingsError
from facexray.faces.identity import identity_rule


@pytest.mark.parametrize(
    ("rule", "path", "person"),
    [
        (None, "ann/a.jpg", None),
        ("folder", "faces/ann/a.jpg", "ann"),
        ("folder", "faces/安/a.jpg", "安"),
        ("_([0-9]+)_", "neutral_001_03.jpg", "001"),
        ("_([0-9]+)_", "faces_99_/neutral.jpg", None),
        ("^([a-z]+)|x", "x1.jpg", "x"),
        ("a(b)?", "ac.jpg", None),
    ],
)
def test_identity_rule(rule, path, person):
    assert identity_rule(rule)(Path(path)) == person


def test_folder_of_a_bare_file_name_is_the_present_one(tmp_path, monkeypatch):
    (tmp_path / "ann").mkdir()
    monkeypatch.chdir(tmp_path / "ann")
    assert identity_rule("folder")(Path("a.jpg")) == "ann"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_identity_by_csv(tmp_path, encoding):
    table = tmp_path / "who.csv"
    table.write_text("file,identity,note\na.jpg,ann,\nsub/b.jpg,鲍勃,x\n", encoding=encoding)
    rule = identity_rule(str(table))
    assert [rule(Path(name)) for name in ("a.jpg", "other/a.jpg", "sub/b.jpg", "c.jpg")] == ["ann", "ann", "鲍勃", None]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("_([0-9]+_", "not a regular expression"),
        ("_[0-9]+_", "no group"),
        ("nowhere.csv", "cannot be read"),
        ("columns.csv", "needs a column 'identity'"),
        ("gbk.csv", "cannot be read"),
    ],
)
def test_wrong_identity_rule_is_refused_with_its_reason(tmp_path, monkeypatch, rule, reason):
    monkeypatch.chdir(tmp_path)
    Path("columns.csv").write_text("file,who\na.jpg,ann\n")
    Path("gbk.csv").write_bytes("file,identity\na.jpg,鲍勃\n".encode("gbk"))
    with pytest.raises(SettingsError, match=reason):
        identity_rule(rule)
