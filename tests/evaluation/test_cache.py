"""The cache: what it keeps, for whom, and what a kill or another version leaves of it."""

import json
import os
from pathlib import Path

import pytest

from facexray.errors import MediaError, SettingsError, StoreError
from facexray.evaluation import cache as cache_module
from facexray.evaluation.cache import NAME, Cache, Found, FoundFace

FOUND = Found(
    3, [FoundFace(0, 0, 0.25, {"class": 0.1}, {"xray_energy": 0.02}, {"jpeg 50": 0.7})], "cut off", {"label": 1}
)
KEY = {"files": ["ab"], "frames": 32}


def kept(out, model="model"):
    with Cache(out, model) as cache:
        return cache.get(KEY, [])


@pytest.fixture
def filled(tmp_path):
    with Cache(tmp_path, "model") as cache:
        cache.put({"files": ["other"]}, Found(1))
        cache.put(KEY, FOUND)
    return tmp_path


def test_gives_back_what_was_put_for_its_key_and_model_alone(filled):
    assert kept(filled) == FOUND
    assert kept(filled, "another model") is None
    with Cache(filled, "model") as cache:
        assert cache.get({**KEY, "frames": 8}, []) is None
        assert cache.get(dict(reversed(KEY.items())), ["jpeg 50"]) == FOUND
        assert cache.get(KEY, ["jpeg 50", "jpeg 10"]) is None


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_torn_line_is_ignored_and_the_next_one_is_not_joined_to_it(filled, share):
    path = filled / NAME
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[: round(share * (len(last) - 1))])
    assert kept(filled) is None
    with Cache(filled, "model") as cache:
        cache.put(KEY, FOUND)
    assert kept(filled) == FOUND
    with Cache(filled, "model") as cache:
        assert cache.get({"files": ["other"]}, []) == Found(1)


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\x00", b"[]", b"null", b"{}", b'{"model": "model", "key": 1}', b'{"sha256": "x"}', b'"sha256"']
)
def test_lines_that_are_not_ours_are_ignored(filled, line):
    with (filled / NAME).open("ab") as file:
        file.write(line + b"\n")
    assert kept(filled) == FOUND


def test_another_versions_rows_are_scored_again(filled):
    lines = [json.loads(line) for line in (filled / NAME).read_text().splitlines()]
    lines[-1]["found"]["faces"][0]["colour"] = "red"
    (filled / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kept(filled) is None


def test_a_file_is_hashed_again_only_when_it_changed(tmp_path, monkeypatch):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"one")
    with Cache(tmp_path / "out", "model") as cache:
        first = cache.sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr("facexray.evaluation.cache.sha256_of", lambda _: pytest.fail("read again"))
        with Cache(tmp_path / "out", "another model") as cache:
            assert cache.sha256(path) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    with Cache(tmp_path / "out", "model") as cache:
        assert cache.sha256(path) not in ("", first)
        with pytest.raises(MediaError, match=r"none\.mp4: cannot be read"):
            cache.sha256(tmp_path / "none.mp4")


def test_one_run_at_a_time(tmp_path):
    with Cache(tmp_path, "model"), pytest.raises(StoreError, match="another facexray evaluate"):
        Cache(tmp_path, "model")
    with Cache(tmp_path, "model") as cache:
        assert cache.get(KEY, []) is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file.*cannot be written"):
        Cache(tmp_path / "file" / "out", "model")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, a disk without space, is Linux's")
def test_a_full_disk_says_what_to_do(tmp_path):
    cache = Cache(tmp_path, "model")
    with Path("/dev/full").open("ab", buffering=0) as full:
        cache._file = full
        with pytest.raises(StoreError, match="free space and run the same command again"):
            cache.put(KEY, FOUND)


@pytest.mark.parametrize("what", ["SCORING_VERSION", "version"])
def test_what_other_code_scored_is_scored_again(filled, monkeypatch, what):
    other = (lambda _: "99.0") if what == "version" else cache_module.SCORING_VERSION + 1
    monkeypatch.setattr(cache_module, what, other)
    assert kept(filled) is None
    monkeypatch.undo()
    assert kept(filled) == FOUND
