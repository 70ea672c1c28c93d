import pickle
import shutil
from collections import Counter
from math import comb

import numpy as np
import pytest
from scipy import stats

from facexray.errors import BlendError, StoreError
from facexray.faces import neighbour_table
from facexray.faces.crop import Square
from facexray.faces.neighbours import FacePool
from facexray.faces.store import Face, FaceStore
from facexray.faces.store_writer import StoreWriter

CROP = np.zeros((317, 317, 3), np.uint8)


def make_store(path, who, seed=0):
    """A store, or a longer one, with a face more for each (video, identity) of `who`, the landmarks random."""
    rng = np.random.default_rng(seed)
    first = len(FaceStore(path)) if path.exists() else 0
    with StoreWriter(path, {}) as writer:
        for number, (video, identity) in enumerate(who, first):
            box, landmarks = np.zeros(4, np.float32), rng.uniform(0, 317, (68, 2)).astype(np.float32)
            square = Square(0, 0, 317)
            face = Face(str(number), "", video, 0, identity, box, 1.0, landmarks, square, str(number))
            writer.add(face, CROP)
        writer.end_source("")
    return FaceStore(path)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """40 faces: 12 videos, 5 people and some unknown; a person stands in several videos."""
    rng = np.random.default_rng(1)
    person_of = {v: f"person{v % 5}" if v < 9 else None for v in range(12)}
    who = [(f"video{v}", person_of[v]) for v in (int(v) for v in rng.integers(0, 12, 40))]
    return make_store(tmp_path_factory.mktemp("crowd") / "s", who)


def may_pair(a, b):
    return a.video != b.video and (a.identity is None or a.identity != b.identity)


def brute_force(faces, background):
    """The nearest by a loop over faces and points."""
    best, least = None, float("inf")
    for index, face in enumerate(faces):
        if not may_pair(face, faces[background]):
            continue
        distance = 0.0
        for (x, y), (u, v) in zip(face.landmarks.tolist(), faces[background].landmarks.tolist(), strict=True):
            distance += ((x - u) ** 2 + (y - v) ** 2) ** 0.5
        if distance < least:
            best, least = index, distance
    return best


def test_nearest_of_all_is_what_a_loop_finds(crowd):
    pool, faces = FacePool.of(crowd), list(crowd)
    rng = np.random.default_rng(0)
    for background in range(len(faces)):
        assert pool.nearest(background, 1000, rng) == brute_force(faces, background)


@pytest.mark.parametrize("candidates", [1, 3, 39])
def test_nearest_never_shares_video_or_identity(crowd, candidates):
    pool, faces = FacePool.of(crowd), list(crowd)
    rng = np.random.default_rng(2)
    for _ in range(10):
        for background, face in enumerate(faces):
            assert may_pair(faces[pool.nearest(background, candidates, rng)], face)


def ranks_of(pool, candidates, draws, seed=3):
    """How often each of the first face's strangers is drawn, from the nearest to the farthest."""
    rng = np.random.default_rng(seed)
    counts = Counter(pool.nearest(0, candidates, rng) for _ in range(draws))
    offsets = pool.landmarks.astype(float) - pool.landmarks[0]
    distances = np.linalg.norm(offsets, axis=2).sum(axis=1)
    return [counts[face] for face in sorted(pool.strangers(0), key=lambda face: distances[face])]


def without_origin(pool):
    return FacePool(pool.ids, pool.landmarks, pool.videos, pool.people)


KNOWN = pytest.mark.parametrize("known", [1, 3, 100])
"""Neighbours that the table holds: beyond, the rest of a subset is drawn."""


@KNOWN
@pytest.mark.parametrize(("candidates", "chances"), [(1, [3, 3, 3, 3]), (2, [6, 4, 2, 0]), (3, [9, 3, 0, 0])])
def test_ranks_by_hand(known, candidates, chances, monkeypatch):
    """Of 4 strangers: the nearest is in 1, 2, 3 of them with chance 3/12, 6/12, 9/12, and so on."""
    monkeypatch.setattr(neighbour_table, "NEIGHBOURS", known)
    landmarks = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 68, 2), np.float32)
    pool = FacePool(list("abcde"), landmarks, np.arange(5), np.arange(5))
    assert_drawn_from(ranks_of(pool, candidates, 2000), chances)


@KNOWN
@pytest.mark.parametrize("candidates", [1, 8, 20])
def test_rank_is_that_of_the_nearest_of_a_random_subset(crowd, known, candidates, monkeypatch):
    """P(rank r) = C(N − 1 − r, n − 1) / C(N, n), whether the table decides or the rest of the subset is drawn."""
    monkeypatch.setattr(neighbour_table, "NEIGHBOURS", known)
    pool = without_origin(FacePool.of(crowd))
    total = len(pool.strangers(0))
    chances = [comb(total - 1 - rank, candidates - 1) for rank in range(total)]
    assert sum(chances) == comb(total, candidates)
    assert_drawn_from(ranks_of(pool, candidates, 2000), chances)


@KNOWN
def test_drawing_a_rank_is_drawing_subsets(crowd, known, monkeypatch):
    monkeypatch.setattr(neighbour_table, "NEIGHBOURS", known)
    pool, rng = without_origin(FacePool.of(crowd)), np.random.default_rng(8)
    total = len(pool.strangers(0))
    subsets = Counter(int(rng.choice(total, 6, replace=False).min()) for _ in range(2000))
    table = np.array([ranks_of(pool, 6, 2000), [subsets[rank] for rank in range(total)]])
    table = np.column_stack([table[:, :10], table[:, 10:].sum(axis=1)])
    assert stats.chi2_contingency(table).pvalue > 0.001


def assert_drawn_from(counts, chances):
    """A chi-square test; rare ranks are counted together."""
    expected = np.array(chances) / sum(chances) * sum(counts)
    often = expected >= 5
    assert not np.array(counts)[np.array(chances) == 0].any()
    both = [np.append(values[often], values[~often].sum()) for values in (np.array(counts), expected)]
    counted, expected = (values[both[1] > 0] for values in both)
    assert len(counted) == 1 or stats.chisquare(counted, expected).pvalue > 0.001


def test_other_faces_are_drawn_evenly(crowd):
    pool, rng = FacePool.of(crowd), np.random.default_rng(4)
    drawn = Counter(pool.random_stranger(0, rng) for _ in range(2000))
    assert set(drawn) == set(pool.strangers(0).tolist())
    assert stats.chisquare(list(drawn.values())).pvalue > 0.001


def test_rare_strangers_are_found():
    """Three among a thousand faces of one person."""
    people = np.zeros(1000, int)
    people[[3, 500, 999]] = 1
    landmarks = np.random.default_rng(0).uniform(0, 317, (1000, 68, 2)).astype(np.float32)
    pool, rng = FacePool([str(i) for i in range(1000)], landmarks, people, people), np.random.default_rng(1)
    assert {pool.random_stranger(0, rng) for _ in range(60)} == {3, 500, 999}
    assert {pool.nearest(0, 1, rng) for _ in range(60)} == {3, 500, 999}


@pytest.mark.parametrize(
    "draw", [lambda pool, rng: pool.nearest(0, 5, rng), lambda pool, rng: pool.random_stranger(0, rng)]
)
def test_face_without_strangers_is_named(draw):
    landmarks = np.zeros((3, 68, 2), np.float32)
    pool = FacePool(["alone", "b", "c"], landmarks, np.array([0, 0, 1]), np.array([0, 1, 0]))
    with pytest.raises(BlendError, match="alone: everybody else is of its video or identity"):
        draw(pool, np.random.default_rng(0))


def test_same_generator_gives_the_same_neighbour(crowd):
    pool = FacePool.of(crowd)
    draws = [[pool.nearest(5, 4, rng) for _ in range(20)] for rng in map(np.random.default_rng, (7, 7))]
    assert draws[0] == draws[1]


def draws(pool):
    rng = np.random.default_rng(6)
    sizes = (1, 4, 12, 1000)
    nearest = [pool.nearest(face, size, rng) for face in range(len(pool.ids)) for size in sizes]
    return nearest + [pool.random_stranger(face, rng) for face in range(len(pool.ids))]


@pytest.mark.parametrize("indices", [None, list(range(3, 30, 2))], ids=["all", "some"])
def test_draws_are_the_same_with_and_without_a_table_file(crowd, tmp_path, indices, monkeypatch):
    monkeypatch.setattr(neighbour_table, "NEIGHBOURS", 5)
    shutil.copytree(crowd.path, tmp_path / "s", ignore=shutil.ignore_patterns("neighbours.*"))
    made = draws(FacePool.of(FaceStore(tmp_path / "s"), indices))
    assert (tmp_path / "s" / "neighbours.npy").exists()
    assert draws(FacePool.of(FaceStore(tmp_path / "s"), indices)) == made
    monkeypatch.setattr(neighbour_table, "_save", refuse)
    (tmp_path / "s" / "neighbours.npy").unlink()
    assert draws(FacePool.of(FaceStore(tmp_path / "s"), indices)) == made
    assert not (tmp_path / "s" / "neighbours.npy").exists()


def refuse(*args):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("indices", [None, list(range(3, 30, 2))], ids=["all", "some"])
@pytest.mark.parametrize("writable", [True, False])
def test_pool_travels_to_another_process(crowd, tmp_path, indices, writable, monkeypatch):
    shutil.copytree(crowd.path, tmp_path / "s", ignore=shutil.ignore_patterns("neighbours.*"))
    if not writable:
        monkeypatch.setattr(neighbour_table, "_save", refuse)
    pool = FacePool.of(FaceStore(tmp_path / "s"), indices)
    sent = pickle.dumps(pool)
    if writable:
        assert len(sent) < 700, "what lies in the store is sent as well"
    travelled = pickle.loads(sent)
    assert travelled.ids == pool.ids
    np.testing.assert_array_equal(travelled.landmarks, pool.landmarks)
    assert draws(travelled) == draws(pool)


def test_pool_that_travels_while_its_store_grows_stays_as_it_was(crowd, tmp_path):
    shutil.copytree(crowd.path, tmp_path / "s")
    pool = FacePool.of(FaceStore(tmp_path / "s"))
    sent = pickle.dumps(pool)
    FacePool.of(make_store(tmp_path / "s", [("new", "somebody"), ("newer", "else")], seed=5))
    travelled = pickle.loads(sent)
    assert travelled.ids == pool.ids
    assert draws(travelled) == draws(pool)


def test_pool_without_a_store_travels_too(crowd):
    pool = without_origin(FacePool.of(crowd))
    assert draws(pickle.loads(pickle.dumps(pool))) == draws(pool)


@pytest.mark.parametrize("indices", [list(range(3, 30, 2)), list(range(39, -1, -1))], ids=["some", "all, reversed"])
def test_pool_of_a_split_knows_its_own_faces_only(crowd, indices):
    pool = FacePool.of(crowd, indices)
    assert pool.ids == [crowd[i].id for i in indices]
    np.testing.assert_array_equal(pool.landmarks, crowd.landmarks[indices])
    faces = [crowd[i] for i in indices]
    assert [pool.nearest(i, 1000, np.random.default_rng(0)) for i in range(len(faces))] == [
        brute_force(faces, i) for i in range(len(faces))
    ]


@pytest.mark.parametrize(
    ("who", "strangers_of_first"),
    [
        ([("v1", "ann"), ("v2", "ann"), ("v3", "bob")], [2]),
        ([("v1", None), ("v1", None), ("v2", None)], [2]),
        ([("v1", "ann"), ("v1", "bob"), ("v2", "bob")], [2]),
        ([("v1", "video v2"), ("v2", None)], [1]),
    ],
    ids=["same person", "same video", "two people in a video", "a person called like a video"],
)
def test_strangers(tmp_path, who, strangers_of_first):
    assert FacePool.of(make_store(tmp_path / "s", who)).strangers(0).tolist() == strangers_of_first


@pytest.mark.parametrize(
    "who",
    [[], [("v1", "ann")], [("v1", "ann"), ("v2", "ann")], [("v1", None), ("v1", None)]],
    ids=["none", "one face", "one person", "one video"],
)
def test_less_than_two_people_is_an_error_with_its_remedy(tmp_path, who):
    store = make_store(tmp_path / "s", who)
    with pytest.raises(StoreError, match="at least 2 people: add photographs with facexray prepare"):
        FacePool.of(store)


def test_part_of_a_store_with_one_person_is_an_error(store):
    hopper = [index for index, face in enumerate(store) if face.identity == "hopper"]
    with pytest.raises(StoreError, match="3 faces of 1 people"):
        FacePool.of(store, hopper)
