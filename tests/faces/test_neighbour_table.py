"""The neighbour table: exact, kept beside the faces, brought up to date."""

import json
import os
import shutil

import numpy as np
import pytest
from test_neighbours import make_store

from facexray.faces import neighbour_search, neighbour_table
from facexray.faces.neighbour_search import Crowd, NeighbourSearch, _left
from facexray.faces.neighbour_table import crowd_of, grow_table, new_table, open_neighbours, save_neighbours
from facexray.faces.ranking import NOBODY, pack, pair_distances, unpack
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter

K = 7


def lifelike(count, rng, people=None):
    """Faces that differ as faces do: in place, size, turn, form of the parts, and a little in every point."""
    mean = np.random.default_rng(0).uniform(80, 240, (68, 2))
    modes = np.random.default_rng(1).normal(0, 1, (12, 68, 2)).cumsum(axis=1) / 8
    scale, angle = rng.normal(1, 0.06, (count, 1, 1)), rng.normal(0, 0.05, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    form = np.tensordot(rng.normal(0, 2, (count, 12)) / np.arange(1, 13) ** 0.5, modes, 1)
    landmarks = scale * ((mean + form - 160) @ turn) + 160 + rng.normal(0, 6, (count, 1, 2))
    landmarks += rng.normal(0, 0.6, landmarks.shape)
    people = np.arange(count) // 2 if people is None else people
    return Crowd(landmarks.astype(np.float32), people.copy(), people)


def videos(rng):
    """40 videos of 60 frames, which hardly differ; a person stands in two."""
    still = lifelike(40, rng)
    frames = np.repeat(still.landmarks, 60, axis=0) + rng.normal(0, 0.3, (2400, 68, 2))
    video = np.repeat(np.arange(40), 60)
    return Crowd(frames.astype(np.float32), video, video // 2)


def doubles(rng):
    """900 faces of 6 forms, each there again and again, of 300 people: nothing but ties."""
    return Crowd(lifelike(6, rng).landmarks[rng.integers(0, 6, 900)], np.arange(900), rng.integers(0, 300, 900))


def one_far_off(rng):
    return strangers_to_all(np.concatenate([lifelike(800, rng).landmarks, np.full((1, 68, 2), 1e6)]))


def strangers_to_all(landmarks):
    return Crowd(landmarks.astype(np.float32), np.arange(len(landmarks)), np.arange(len(landmarks)))


CROWDS = {
    "lifelike": lambda rng: lifelike(2000, rng),
    "uniform": lambda rng: strangers_to_all(rng.uniform(0, 317, (600, 68, 2))),
    "videos": videos,
    "doubles": doubles,
    "one form": lambda rng: strangers_to_all(np.full((700, 68, 2), 99)),
    "whole numbers": lambda rng: strangers_to_all(rng.integers(0, 3, (500, 68, 2)) * (3, 4)),
    "one far off": one_far_off,
    "first far off": lambda rng: strangers_to_all(one_far_off(rng).landmarks[::-1]),
    "few strangers": lambda rng: lifelike(1500, rng, (np.arange(1500) < 4).astype(int)),
    "one person": lambda rng: lifelike(300, rng, np.zeros(300, int)),
    "one face": lambda rng: lifelike(1, rng),
}


@pytest.fixture(params=CROWDS)
def crowd(request):
    return CROWDS[request.param](np.random.default_rng(5))


def all_keys(crowd, query):
    """Keys of a face's strangers, sorted: by computing every distance as the search computes the few."""
    others = np.flatnonzero((crowd.videos != crowd.videos[query]) & (crowd.people != crowd.people[query]))
    return np.sort(pack(pair_distances(crowd.landmarks, np.full(len(others), query), others), others))


def searched(crowd, count=K):
    keys = np.zeros((len(crowd.people), count), np.uint64)
    for found in NeighbourSearch(crowd).nearest(crowd, count):
        keys[found.queries] = found.keys
    return keys


def test_search_finds_what_computing_every_distance_finds(crowd):
    keys = searched(crowd)
    for query in range(0, len(keys), 1 + len(keys) // 150):
        expected = all_keys(crowd, query)[:K]
        np.testing.assert_array_equal(keys[query][: len(expected)], expected)
        assert (keys[query][len(expected) :] == NOBODY).all()


def test_found_is_what_loops_in_double_precision_find():
    crowd = lifelike(400, np.random.default_rng(1))
    distances, faces = unpack(searched(crowd))
    points = crowd.landmarks.astype(float).tolist()
    for query in range(0, 400, 50):
        to_all = [
            sum(((x - u) ** 2 + (y - v) ** 2) ** 0.5 for (x, y), (u, v) in zip(other, points[query], strict=True))
            if crowd.people[number] != crowd.people[query]
            else np.inf
            for number, other in enumerate(points)
        ]
        np.testing.assert_allclose(distances[query], np.sort(to_all)[:K], rtol=1e-6)
        np.testing.assert_array_equal(faces[query], np.argsort(to_all)[:K])


def test_a_distance_of_whole_numbers_is_exact():
    landmarks = np.zeros((2, 68, 2), np.float32)
    landmarks[1] = 3, 4
    assert pair_distances(landmarks, np.array([0]), np.array([1])) == [340]


def test_a_distance_has_the_same_bits_wherever_it_is_computed():
    landmarks = lifelike(50, np.random.default_rng(2)).landmarks
    a, b = np.random.default_rng(3).integers(0, 50, (2, 1500))
    together = pair_distances(landmarks, a, b)
    np.testing.assert_array_equal(together, pair_distances(landmarks, b, a))
    alone = [pair_distances(landmarks, a[[pair]], b[[pair]])[0] for pair in range(1000, 1500)]
    np.testing.assert_array_equal(together[1000:], alone)


def test_bounds_are_below_the_distances(crowd):
    search = NeighbourSearch(crowd)
    for group in search._groups[::6]:
        for number, others in enumerate(search._groups):
            bounds = search._bounds(_left(group), others.sums)
            rows, faces = np.indices(bounds.shape).reshape(2, -1)
            true = search._distances(group.points, rows, others.points, faces).reshape(bounds.shape)
            assert not (bounds > search._reach(true)).any()
            assert (search._gaps(group.places)[:, [number]] <= search._reach(true)).all()


def test_few_distances_are_computed(monkeypatch):
    """Or else the bounds are of no use; the search would still be exact."""
    computed, original = [], NeighbourSearch._distances
    monkeypatch.setattr(NeighbourSearch, "_distances", lambda *args: computed.append(len(args[2])) or original(*args))
    crowd = lifelike(3000, np.random.default_rng(0))
    searched(crowd)
    assert sum(computed) / 3000 < 150


def test_no_stranger_is_lost_among_equal_faces(monkeypatch):
    """The first radius is 0 then, and growing it must not end at 0 · ∞."""
    monkeypatch.setattr(neighbour_search, "SAMPLE", 100)
    people = np.zeros(1000, int)
    people[[0, 10, 20, 30, 40]] = 1
    keys = searched(Crowd(np.zeros((1000, 68, 2), np.float32), np.arange(1000), people))
    assert (unpack(keys[1])[1] == [0, 10, 20, 30, 40, -1, -1]).all()


def test_within_a_radius_are_all_that_lie_there():
    crowd = lifelike(1000, np.random.default_rng(4))
    radii = np.random.default_rng(5).uniform(0, 900, 1000).astype(np.float32)
    for found in NeighbourSearch(crowd).within(crowd, K, radii):
        for query, keys in list(zip(found.queries, found.keys, strict=True))[::20]:
            expected = all_keys(crowd, query)[:K]
            expected = expected[unpack(expected)[0] <= radii[query]]
            np.testing.assert_array_equal(keys[keys != NOBODY], expected)


@pytest.mark.parametrize("old", [1, 300, 499])
@pytest.mark.parametrize("kind", ["lifelike", "videos", "doubles", "few strangers", "first far off"])
def test_grown_table_is_the_one_made_anew(kind, old, monkeypatch):
    monkeypatch.setattr(neighbour_table, "NEIGHBOURS", K)
    crowd = CROWDS[kind](np.random.default_rng(6)).at(slice(0, 500))
    grown = grow_table(new_table(crowd.at(slice(0, old))), crowd)
    np.testing.assert_array_equal(grown, new_table(crowd))


# The files


WHO = [(f"video{number // 3}", f"person{number // 6}") for number in range(60)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("made") / "s", WHO).path


@pytest.fixture
def small(made, tmp_path):
    """A store of 60 faces without its crops, which no table needs."""
    (tmp_path / "s").mkdir()
    for name in ("faces.parquet", "store.json"):
        shutil.copy(made / name, tmp_path / "s")
    return FaceStore(tmp_path / "s")


def table_of(path):
    return np.load(path / "neighbours.npy", mmap_mode="r")


def mtimes(path):
    return [(path / f"neighbours.{kind}").stat().st_mtime_ns for kind in ("npy", "json")]


def test_table_of_a_store_is_kept_and_mapped(small):
    table = open_neighbours(small)
    assert isinstance(table, np.memmap)
    np.testing.assert_array_equal(table, new_table(crowd_of(small)))
    before = mtimes(small.path)
    np.testing.assert_array_equal(open_neighbours(FaceStore(small.path)), table)
    assert mtimes(small.path) == before, "an up-to-date table was written again"


def test_rows_are_sorted_strangers_padded_with_nobody(small):
    table, crowd = open_neighbours(small), crowd_of(small)
    assert table.shape == (60, 100)
    for query, row in enumerate(table):
        expected = unpack(all_keys(crowd, query))[1]
        np.testing.assert_array_equal(row[: len(expected)], expected)
        assert (row[len(expected) :] == -1).all()


def test_prepare_makes_the_table(store):
    np.testing.assert_array_equal(table_of(store.path), new_table(crowd_of(store)))


@pytest.mark.parametrize("who", [[], [("v", "ann")], [("v", "ann"), ("w", "ann")]], ids=["none", "one", "one person"])
def test_store_without_pairs_has_a_table_without_neighbours(tmp_path, who):
    store = make_store(tmp_path / "s", who)
    save_neighbours(store)
    table = open_neighbours(store)
    assert table.shape == (len(who), 100)
    assert (table == -1).all()


def grow(path, who, seed):
    make_store(path, who, seed)
    return FaceStore(path)


def test_table_grows_with_the_store(small, monkeypatch):
    save_neighbours(small)
    bigger = grow(small.path, [("video2", "person0"), ("new", "person1"), ("other", None)], seed=1)
    grown = []
    monkeypatch.setattr(neighbour_table, "new_table", lambda crowd: pytest.fail("was made anew"))
    original = neighbour_table.grow_table
    monkeypatch.setattr(neighbour_table, "grow_table", lambda *args: grown.append(len(args[0])) or original(*args))
    table = open_neighbours(bigger)
    assert grown == [60]
    monkeypatch.undo()
    np.testing.assert_array_equal(table, new_table(crowd_of(bigger)))


def test_table_is_made_anew_when_somebody_is_named(small):
    save_neighbours(small)
    with StoreWriter(small.path, {}) as writer:
        writer.identify("0", "person9")
    renamed = FaceStore(small.path)
    table = open_neighbours(renamed)
    assert table[0, 0] != -1
    assert not set(table[0]) & {index for index, face in enumerate(renamed) if face.identity == "person9"}
    np.testing.assert_array_equal(table, new_table(crowd_of(renamed)))


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES = {
    "missing": None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: os.urandom(len(data)),
    "a bit": flip,
    "of another store": lambda data: data,
}


@pytest.mark.parametrize("name", ["neighbours.npy", "neighbours.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_table_is_made_anew(small, tmp_path, name, damage):
    table, file = np.array(open_neighbours(small)), small.path / name
    if damage == "missing":
        file.unlink()
    elif damage == "of another store":
        other = make_store(tmp_path / "t", WHO[:2], seed=9)
        save_neighbours(other)
        file.write_bytes((other.path / name).read_bytes())
    else:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    np.testing.assert_array_equal(open_neighbours(small), table)
    np.testing.assert_array_equal(table_of(small.path), table)


@pytest.mark.parametrize("about", ["[]", "{}", '{"faces": "60"}', "null"])
def test_odd_description_is_no_description(small, about):
    save_neighbours(small)
    (small.path / "neighbours.json").write_text(about)
    np.testing.assert_array_equal(open_neighbours(small), new_table(crowd_of(small)))
    assert json.loads((small.path / "neighbours.json").read_text())["faces"] == 60


def refuse(*args):
    raise PermissionError(13, "Permission denied")


def test_table_that_cannot_be_written_is_held_in_memory(small, monkeypatch):
    monkeypatch.setattr(neighbour_table, "write_bytes", refuse)
    table = open_neighbours(small)
    assert not isinstance(table, np.memmap)
    np.testing.assert_array_equal(table, new_table(crowd_of(small)))
    with pytest.raises(PermissionError):
        save_neighbours(small)


def test_leftovers_of_a_kill_vanish(small):
    for name in (".neighbours.123.part", ".neighbours.json.123.part"):
        (small.path / name).write_bytes(b"half")
    with StoreWriter(small.path, {}):
        pass
    assert not list(small.path.glob(".*.part"))
