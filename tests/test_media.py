"""Which files are photographs and videos, and the walk to them."""

import errno
import os
from pathlib import Path

import pytest

from facexray.media import find_sources, is_video


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.mp4", "sub/deep/d.jpeg", "sub/deep/e.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_walk_is_recursive_sorted_and_counts_what_it_ignores(tree):
    found = find_sources([tree])
    assert [path.relative_to(tree).as_posix() for path in found.files] == [
        "a.PNG",
        "b.jpg",
        "sub/c.mp4",
        "sub/deep/d.jpeg",
    ]
    assert found.others == [tree / "notes.txt", tree / "sub/deep/e.json"]
    assert found.unreadable == []


def test_source_named_twice_is_found_once(tree):
    found = find_sources([tree / "b.jpg", tree, tree / "sub", tree / "b.jpg"])
    assert sorted(found.files) == sorted(find_sources([tree]).files)


def test_file_named_outright_is_taken_whatever_its_suffix(tree):
    assert find_sources([tree / "notes.txt", tree / "nowhere.jpg"]).files == [
        tree / "notes.txt",
        tree / "nowhere.jpg",
    ]


def test_unusable_name_is_left_to_the_reader(tmp_path):
    assert find_sources([tmp_path / ("x" * 300)]).files == [tmp_path / ("x" * 300)]


def test_forbidden_folder_is_reported(tree, monkeypatch):
    def walk(path, onerror, followlinks):
        onerror(PermissionError(errno.EACCES, "Permission denied", str(path)))
        return iter(())

    monkeypatch.setattr("os.walk", walk)
    assert find_sources([tree]).unreadable == [(tree, "folder cannot be read (Permission denied)")]


def test_a_folder_that_lists_what_it_does_not_open_is_walked_on(tree, monkeypatch):
    """Of mode r--: its files have names, and no more can be said of them."""
    stat, lstat = os.stat, os.lstat

    def forbid(function):
        def forbidden(path, *args, **options):
            if Path(os.fsdecode(path)).parent == tree and Path(os.fsdecode(path)).name == "sub":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(path, *args, **options)

        return forbidden

    whole = find_sources([tree])
    monkeypatch.setattr("os.stat", forbid(stat))
    monkeypatch.setattr("os.lstat", forbid(lstat))
    assert find_sources([tree]).files == whole.files


def test_video_is_told_by_the_name():
    assert [is_video(Path(name)) for name in ("a.MP4", "a.mkv", "a.jpg", "mp4")] == [True, True, False, False]


def test_links_to_folders_are_followed_to_each_folder_once(tmp_path):
    elsewhere, tree = tmp_path / "elsewhere", tmp_path / "tree"
    for path in (elsewhere / "deep" / "far.png", tree / "b" / "near.png"):
        path.parent.mkdir(parents=True)
        path.touch()
    (tree / "linked").symlink_to(elsewhere)
    (tree / "a").symlink_to(tree / "b")
    (tree / "b" / "loop").symlink_to(tree)
    (elsewhere / "mutual").symlink_to(tree / "b")
    found = find_sources([tree])
    assert found.files == [tree / "b" / "near.png", tree / "linked" / "deep" / "far.png"]
    names = {"a": "b", "b/loop": ".", "linked/mutual": "b"}
    assert sorted(found.repeated) == [(tree / link, tree / name) for link, name in names.items()]
    assert found.unreadable == []
