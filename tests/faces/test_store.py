import errno
import json
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from facexray.errors import StoreError
from facexray.faces import store_writer as writer_module
from facexray.faces.crop import Square
from facexray.faces.store import Face, FaceStore
from facexray.faces.store_writer import StoreWriter


def toy_face(source, number=0, identity=None):
    """A face and crop, random but always the same for the same arguments."""
    rng = np.random.default_rng([*source.encode(), number])
    face = Face(
        id=f"{source}-000000-{number}",
        source=f"photos/{source}.jpg",
        video=source,
        frame=number,
        identity=identity,
        box=rng.uniform(0, 300, 4).astype(np.float32),
        score=0.75,
        landmarks=rng.uniform(0, 317, (68, 2)).astype(np.float32),
        square=Square(*(int(value) for value in rng.integers(-50, 500, 3))),
        sha256=f"sha of {source}",
    )
    return face, rng.integers(0, 256, (317, 317, 3), np.uint8)


def write(path, sources, identities=None):
    """Add to a store: `sources` maps a source to how many faces it has."""
    with StoreWriter(path, {}) as writer:
        for source, count in sources.items():
            for number in range(count):
                writer.add(*toy_face(source, number, (identities or {}).get(source)))
            writer.end_source(f"sha of {source}")
    return FaceStore(path)


def check(store, sources):
    """The store holds these faces, each once, in order, and each with its own crop."""
    expected = [toy_face(source, number) for source, count in sources.items() for number in range(count)]
    assert [face.id for face in store] == [face.id for face, _ in expected]
    for index, (face, crop) in enumerate(expected):
        read = store[index]
        assert (read.source, read.video, read.frame, read.sha256) == (
            face.source,
            face.video,
            face.frame,
            face.sha256,
        )
        assert (read.square, read.score) == (face.square, face.score)
        np.testing.assert_array_equal(read.box, face.box)
        np.testing.assert_array_equal(read.landmarks, face.landmarks)
        np.testing.assert_array_equal(store.landmarks[index], face.landmarks)
        np.testing.assert_array_equal(store.crop(index), crop)
        assert store.index_of[face.id] == index


def leftovers(path):
    return [file.name for file in path.iterdir() if file.name.endswith(".part")]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_FACES", 3)


# Writing and reading


def test_what_is_written_is_read(tmp_path):
    sources = {"a": 2, "b": 1, "人": 3}
    store = write(tmp_path / "s", sources, {"a": "Ann"})
    check(store, sources)
    assert store.column("identity") == ["Ann", "Ann", None, None, None, None]
    assert leftovers(tmp_path / "s") == []


def test_added_faces_follow_the_old_ones(tmp_path):
    write(tmp_path / "s", {"a": 2})
    check(write(tmp_path / "s", {"b": 2}), {"a": 2, "b": 2})


def test_known_sources_are_those_with_faces_and_those_with_errors(tmp_path):
    write(tmp_path / "s", {"a": 1})
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add_error("b.jpg", "sha of b", "no face found")
        writer.add_error("c.jpg", None, "cannot be read")
    assert StoreWriter(tmp_path / "s", {}).known == {"sha of a", "sha of b"}


def test_store_says_how_it_was_made(tmp_path):
    with StoreWriter(tmp_path / "s", {"made_by": "a test", "identity": "人"}):
        pass
    about = json.loads((tmp_path / "s" / "store.json").read_text(encoding="utf-8"))
    assert about == {"crop_size_px": 317, "face_margin": 1.6, "runs": [{"made_by": "a test", "identity": "人"}]}


def test_a_store_has_one_writer_at_a_time_and_keeps_every_run(tmp_path):
    with StoreWriter(tmp_path / "s", {"run": 1}), pytest.raises(StoreError, match="another facexray prepare"):
        StoreWriter(tmp_path / "s", {"run": 2})
    with StoreWriter(tmp_path / "s", {"run": 3}):
        pass
    about = json.loads((tmp_path / "s" / "store.json").read_text(encoding="utf-8"))
    assert about["runs"] == [{"run": 1}, {"run": 3}]


def test_empty_store_is_a_store(tmp_path):
    store = write(tmp_path / "s", {})
    assert len(store) == 0
    assert list(store) == []
    assert store.landmarks.shape == (0, 68, 2)


@pytest.mark.parametrize(
    ("sources", "shards"),
    [({"a": 1, "b": 1}, 1), ({"a": 2, "b": 2, "c": 1}, 2), ({"a": 8}, 3), ({"a": 1, "b": 7, "c": 3, "d": 1}, 4)],
    ids=str,
)
def test_faces_spread_over_shards(tmp_path, small_shards, sources, shards):
    check(write(tmp_path / "s", sources), sources)
    assert len(list((tmp_path / "s").glob("crops-*.h5"))) == shards


def test_names_that_are_not_utf8_can_be_kept(tmp_path):
    name = os.fsdecode(b"\xc4\xe3.jpg")  # Chinese in GBK, as an old archive unpacks
    face, crop = toy_face("a")
    with StoreWriter(tmp_path / "s", {"sources": [name]}) as writer:
        writer.add(Face(**{**vars(face), "source": name, "id": name, "video": name, "identity": name}), crop)
        writer.add_error(name, "sha of b", "no face found")
        writer.end_source("sha of a")
    assert StoreWriter(tmp_path / "s", {}).read_errors()[0]["source"] == name
    with StoreWriter(tmp_path / "s", {}) as writer:  # the same command again
        writer.identify("sha of a", name)
    store = FaceStore(tmp_path / "s")
    assert (len(store), store.column("identity")) == (1, store.column("source"))


# Faults


def test_missing_store_is_named_with_its_remedy(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere: no face store here; make one with: facexray prepare"):
        FaceStore(tmp_path / "nowhere")


def test_damaged_manifest_is_named(tmp_path):
    write(tmp_path / "s", {"a": 1})
    manifest = tmp_path / "s" / "faces.parquet"
    manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"faces\.parquet: damaged"):
        FaceStore(tmp_path / "s")


@pytest.mark.parametrize("fault", ["missing", "cut", "empty"])
def test_missing_or_damaged_shard_is_named(tmp_path, fault):
    store = write(tmp_path / "s", {"a": 1})
    shard = tmp_path / "s" / "crops-00000.h5"
    data = shard.read_bytes()
    shard.unlink()
    if fault != "missing":
        shard.write_bytes(data[: len(data) // 2] if fault == "cut" else b"")
    with pytest.raises(StoreError, match=r"crops-00000\.h5: missing or damaged"):
        store.crop(0)


def test_store_of_another_convention_is_refused(tmp_path):
    write(tmp_path / "s", {"a": 1})
    about = tmp_path / "s" / "store.json"
    about.write_text(about.read_text().replace("317", "256"))
    with pytest.raises(StoreError, match="another crop convention"):
        StoreWriter(tmp_path / "s", {})


def test_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "s").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        StoreWriter(tmp_path / "s", {})


# Interruptions


@pytest.mark.parametrize("faces_before", [1, 2, 3, 5])
def test_interrupted_source_leaves_nothing_and_the_others_whole(tmp_path, small_shards, faces_before):
    def interrupted():
        with StoreWriter(tmp_path / "s", {}) as writer:
            for source in ("a", "b"):
                writer.add(*toy_face(source))
                writer.end_source(f"sha of {source}")
            for number in range(faces_before):
                writer.add(*toy_face("c", number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    check(FaceStore(tmp_path / "s"), {"a": 1, "b": 1})
    assert StoreWriter(tmp_path / "s", {}).known == {"sha of a", "sha of b"}
    check(write(tmp_path / "s", {"c": 5}), {"a": 1, "b": 1, "c": 5})


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_while_the_faces_are_entered_none_is_entered_twice(trouble, tmp_path, small_shards, monkeypatch):
    write_table, calls = pq.write_table, []

    def interrupted(*arguments):
        write_table(*arguments)
        calls.append(1)
        if len(calls) == 3:
            raise trouble

    monkeypatch.setattr(writer_module.pq, "write_table", interrupted)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write(tmp_path / "s", dict.fromkeys("abcdefgh", 1))
    monkeypatch.undo()
    check(FaceStore(tmp_path / "s"), dict.fromkeys("abcdef", 1))
    check(write(tmp_path / "s", dict.fromkeys("gh", 1)), dict.fromkeys("abcdefgh", 1))


def test_crops_of_an_interrupted_source_are_not_written(tmp_path):
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add(*toy_face("a"))
        writer.end_source("sha of a")
        writer.add(*toy_face("b"))
    with h5py.File(tmp_path / "s" / "crops-00000.h5") as shard:
        assert shard["crops"].shape == (1, 317, 317, 3)


def test_kill_costs_the_shard_in_hand_and_no_more(tmp_path, small_shards):
    writer = StoreWriter(tmp_path / "s", {})
    for source in "abcd":
        writer.add(*toy_face(source))
        writer.end_source(f"sha of {source}")
    del writer  # killed: never closed
    check(FaceStore(tmp_path / "s"), {"a": 1, "b": 1, "c": 1})
    assert "sha of d" not in StoreWriter(tmp_path / "s", {}).known
    check(write(tmp_path / "s", {"d": 1}), dict.fromkeys("abcd", 1))


def test_kill_between_shard_and_manifest_is_made_good(tmp_path, small_shards):
    write(tmp_path / "s", {"a": 1})
    manifest = (tmp_path / "s" / "faces.parquet").read_bytes()
    write(tmp_path / "s", {"b": 2})
    (tmp_path / "s" / "faces.parquet").write_bytes(manifest)  # as if killed before it was replaced
    check(FaceStore(tmp_path / "s"), {"a": 1})
    check(write(tmp_path / "s", {"c": 1, "b": 2}), {"a": 1, "c": 1, "b": 2})


def test_leftovers_vanish_on_opening(tmp_path):
    write(tmp_path / "s", {"a": 1})
    for name in (".crops-00001.h5.123.part", ".faces.part"):
        (tmp_path / "s" / name).write_bytes(b"half")
    check(write(tmp_path / "s", {}), {"a": 1})
    assert leftovers(tmp_path / "s") == []


@pytest.mark.parametrize("cut", [1, 3, 4, 20, 45])
def test_cut_last_line_of_the_errors_is_survived(tmp_path, cut):
    """Among the cuts are some within a Chinese character's bytes."""
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add_error("a.jpg", "sha of a", "no face found")
        writer.add_error("脸" * 5, "sha of b", "没有人脸")
    log = tmp_path / "s" / "errors.jsonl"
    log.write_bytes(log.read_bytes()[: -1 - cut])
    with StoreWriter(tmp_path / "s", {}) as writer:
        assert writer.known == {"sha of a"}
        writer.add_error("c.jpg", "sha of c", "no face found")
    assert StoreWriter(tmp_path / "s", {}).known == {"sha of a", "sha of c"}


def test_cut_of_the_newline_alone_loses_nothing(tmp_path):
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add_error("a.jpg", "sha of a", "no face found")
    log = tmp_path / "s" / "errors.jsonl"
    log.write_bytes(log.read_bytes()[:-1])
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add_error("b.jpg", "sha of b", "no face found")
    assert [line["source"] for line in StoreWriter(tmp_path / "s", {}).read_errors()] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("character", ["\u2028", "\x85", "\n", '"'])
def test_odd_characters_in_a_name_do_not_break_the_error_lines(tmp_path, character):
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add_error(f"a{character}b.jpg", "sha of a", "no face found")
    (line,) = StoreWriter(tmp_path / "s", {}).read_errors()
    expected = {"source": f"a{character}b.jpg", "sha256": "sha of a", "reason": "no face found", "reading": ""}
    assert line == expected


def test_full_disk_leaves_the_store_as_it_was(tmp_path, monkeypatch, small_shards):
    write(tmp_path / "s", {"a": 1})

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = StoreWriter(tmp_path / "s", {})
    monkeypatch.setattr(writer_module, "write_bytes", full)
    with pytest.raises(OSError, match="No space"), writer:
        writer.add(*toy_face("b"))
        writer.end_source("sha of b")
    monkeypatch.undo()
    check(FaceStore(tmp_path / "s"), {"a": 1})
    check(write(tmp_path / "s", {"b": 1}), {"a": 1, "b": 1})


# Use


def test_reading_many_shards_keeps_no_file_open(tmp_path, small_shards):
    store = write(tmp_path / "s", {str(number): 1 for number in range(30)})
    before = len(list(Path("/dev/fd").iterdir()))
    crops = [store.crop(index) for index in range(30)]
    assert len(crops) == 30 and not crops[0].flags.writeable
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_store_travels_to_another_process(tmp_path):
    store = write(tmp_path / "s", {"a": 2})
    crop = store.crop(1)  # opens the shard
    travelled = pickle.loads(pickle.dumps(store))
    assert len(travelled) == 2
    np.testing.assert_array_equal(travelled.crop(1), crop)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_split_never_shares_a_person(tmp_path, share, seed):
    rng = np.random.default_rng(seed)
    sources = {f"video{i}": 1 for i in range(30)}
    people = {source: f"person{rng.integers(8)}" for source in sources if rng.random() < 0.7}
    store = write(tmp_path / "s", sources, people)
    first, second = store.split(share)
    assert sorted(first + second) == list(range(30))
    keys = [face.identity or face.video for face in store]
    assert {keys[i] for i in first}.isdisjoint(keys[i] for i in second)
    assert len({keys[i] for i in second}) == max(1, round(share * len(set(keys))))
    assert first


def test_split_is_the_same_every_time(store):
    assert store.split(0.5) == FaceStore(store.path).split(0.5)
    names = [{store[i].identity for i in part} for part in store.split(0.5)]
    assert sorted(map(sorted, names)) == [["astronaut"], ["hopper"]]
