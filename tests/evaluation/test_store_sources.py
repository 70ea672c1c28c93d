"""Faces from a store: of edited lists, of files that gave no face, and what its sources' folders say."""

import json
from pathlib import Path

import pytest

from facexray.errors import StoreError
from facexray.evaluation.cache import Cache, Found, FoundFace
from facexray.evaluation.clock import Clock
from facexray.evaluation.faceless import read_faceless
from facexray.evaluation.manifest import Item, Manifest
from facexray.evaluation.sources import Source
from facexray.evaluation.store_sources import StoreReader, labelled_store
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import read_image, write_image


@pytest.fixture
def make_store(store, tmp_path):
    """A function that makes a store of one face under each of these paths, and with these errors."""

    def make(sources, errors=()):
        out = tmp_path / "made"
        with StoreWriter(out, {}, "min_face 48") as writer:
            for number, source in enumerate(sources):
                face = store[number % len(store)]
                changes = {"id": f"{number}-000000-0", "source": str(source), "sha256": f"{number:064}"}
                writer.add(type(face)(**{**face.__dict__, **changes}), store.crop(number % len(store)))
                writer.end_source(changes["sha256"])
            for source, sha256, reason in errors:
                writer.add_error(str(source), sha256, reason)
        return FaceStore(out)

    return make


def sources_of(store, items, out):
    with Cache(out, "model") as cache:
        return list(StoreReader(store, cache, Clock(), 48).sources(Manifest(items), []))


def test_an_edited_list_does_not_find_the_places_of_the_old_one(make_store, tmp_path):
    """A face's frame is its picture's place among those that the list names for the video."""
    paths = [tmp_path / f"{name}.png" for name in ("blank", "face")]
    store = make_store(paths[1:])

    def identity(*files):
        (source,) = sources_of(store, [Item("set", "real", "v", 0, files)], tmp_path / "out")
        return source.identity

    first, turned, alone = identity(*paths), identity(*reversed(paths)), identity(paths[1])
    assert first != turned != alone != first
    with Cache(tmp_path / "out", "model") as cache:
        cache.put(first, Found(1, [FoundFace(1, 0)]))
    (source,) = sources_of(store, [Item("set", "real", "v", 0, tuple(paths[::-1]))], tmp_path / "out")
    assert source.known is None
    assert [look.index for look in source.looks()] == [0]


NO_FACE, SMALL = "no face found", "face smaller than 48 px"
PROFILE, UNREADABLE = "face without plausible landmarks (a profile, or covered)", "not a photograph, whatever"


def test_a_file_that_replaced_another_has_its_own_faces_alone(portraits, tmp_path):
    """A cut-off video, fetched again: the store then holds both, under one path."""
    photo, store = tmp_path / "real.png", tmp_path / "store"
    item = Item("d", "real", "v", 0, (photo,))
    seen = []
    for name in ("hopper", "astronaut"):
        write_image(photo, read_image(portraits[name]))
        prepare([photo], store)
        (source,) = sources_of(FaceStore(store), [item], tmp_path / name)
        seen.append(source.identity["ids"])
    assert len(FaceStore(store)) == 2
    assert [len(ids) for ids in seen] == [1, 1] and seen[0] != seen[1]
    photo.unlink()
    (source,) = sources_of(FaceStore(store), [item], tmp_path / "gone")
    assert source.identity["ids"] == seen[1], "the last that was there"


def test_a_like_named_file_of_another_folder_is_not_in_the_store(portraits, tmp_path, monkeypatch):
    for folder, name in (("first", "hopper"), ("second", "astronaut")):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "v.png", read_image(portraits[name]))
    monkeypatch.chdir(tmp_path / "first")
    prepare([Path("v.png")], tmp_path / "store")
    monkeypatch.chdir(tmp_path / "second")
    item = Item("d", "real", "v", 0, (Path("v.png"),))
    assert sources_of(FaceStore(tmp_path / "store"), [item], tmp_path / "out") == [(item, "not in the store")]
    with Cache(tmp_path / "own", "model") as cache:
        reader = StoreReader(FaceStore(tmp_path / "store"), cache, Clock(), 48, own=True)
        assert isinstance(next(reader.sources(Manifest([item]), [])), Source), "its own source is the store's"


@pytest.mark.parametrize(
    ("reasons", "looked_at", "reason"),
    [
        ([NO_FACE], True, NO_FACE),
        ([SMALL, SMALL], True, SMALL),
        ([SMALL, PROFILE], False, PROFILE),
        ([UNREADABLE], False, UNREADABLE),
    ],
)
def test_a_file_without_a_face_is_known_from_one_that_cannot_be_judged(
    make_store, tmp_path, reasons, looked_at, reason
):
    path = tmp_path / "real" / "wall.png"
    store = make_store([tmp_path / "fake" / "a.png"], [(path, "f" * 64, each) for each in reasons])
    item, unknown = (Item("set", "real", name, 0, (path.with_name(f"{name}.png"),)) for name in ("wall", "never"))
    wall, never = sources_of(store, [item, unknown], tmp_path / "out")
    assert never == (unknown, "not in the store")
    if looked_at:
        assert isinstance(wall, Source)
        assert (wall.known.frames, wall.known.faces, wall.known.reason) == (1, [], reason)
    else:
        assert wall == (item, reason)


def test_the_last_run_says_why_a_file_gave_no_face(tmp_path):
    lines = [
        {"source": "a", "sha256": "1", "reason": "face smaller than 99 px", "reading": "min_face 99"},
        {"source": "a", "sha256": "1", "reason": PROFILE, "reading": "min_face 48"},
        {"source": "b", "sha256": None, "reason": "cannot be read", "reading": "min_face 48"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"source": "c", "sha25'
    (tmp_path / "errors.jsonl").write_text(text)
    assert [(of.source, of.reason, of.looked_at) for of in read_faceless(tmp_path)] == [
        ("a", PROFILE, False),
        ("b", "cannot be read", False),
    ]
    assert read_faceless(tmp_path / "nowhere") == []


def test_a_stores_own_manifest_has_those_without_a_face(make_store):
    errors = [("/d/fake/wall.png", "f" * 64, NO_FACE), ("/d/fake/b.png", None, SMALL), ("/d/fake", None, "forbidden")]
    manifest = labelled_store(make_store(["/d/real/a.png", "/d/fake/b.png"], errors))
    assert [(item.video, item.label) for item in manifest.items] == [("a.png", 0), ("b.png", 1), ("wall.png", 1)]
    assert manifest.missing == [("/d/fake", "forbidden")]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["/d/real/a.png", "/d/fake/swap/real/b.png"], [(0, "real"), (1, "swap")]),
        (["/home/real/set/real/a.png", "/home/real/set/fake/b.png"], [(0, "real"), (1, "fake")]),
        (["/real/one/real/a.png", "/real/two/fake/b.png"], [(0, "real"), (1, "fake")]),
        (["d/real/fake/a.png", "d/fake/real_ones/b.png"], [(0, "real"), (1, "real_ones")]),
    ],
)
def test_the_outermost_pair_of_folders_labels_as_in_a_folder_of_ones_own(make_store, sources, expected):
    manifest = labelled_store(make_store(sources))
    assert [(item.label, item.method) for item in manifest.items] == expected


@pytest.mark.parametrize("method", ["real", "overall"])
def test_a_fake_of_a_method_called_real_or_as_all_together_is_refused(method, make_store):
    with pytest.raises(StoreError, match=rf"/d/fake/{method}/b\.png is a fake of a method called {method}"):
        labelled_store(make_store(["/d/real/a.png", f"/d/fake/{method}/b.png"]))


def test_sources_in_no_such_folder_are_refused(make_store):
    with pytest.raises(StoreError, match="in no folder real/ or fake/"):
        labelled_store(make_store([Path("/d/real/a.png"), "/d/b.png"]))
