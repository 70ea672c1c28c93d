import numpy as np
import pytest

from facexray.errors import StoreError
from facexray.faces.crop import Square
from facexray.faces.neighbours import FacePool
from facexray.faces.store import Face, FaceStore
from facexray.faces.store_writer import StoreWriter

CROP = np.zeros((317, 317, 3), np.uint8)


def make_store(path, who):
    """A store with a face per (video, identity) of `who`, the landmarks random."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, {}) as writer:
        for number, (video, identity) in enumerate(who):
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


def test_fewer_candidates_are_a_random_subset(crowd):
    pool = FacePool.of(crowd)
    rng = np.random.default_rng(3)
    strangers = set(pool.strangers(0).tolist())
    assert {pool.nearest(0, 1, rng) for _ in range(600)} == strangers
    nearest = pool.nearest(0, 1000, rng)
    hits = sum(pool.nearest(0, len(strangers) // 2, rng) == nearest for _ in range(1000))
    assert 0.44 < hits / 1000 < 0.56  # drawn without replacement, the nearest is among half of them half the time


def test_same_generator_gives_the_same_neighbour(crowd):
    pool = FacePool.of(crowd)
    draws = [[pool.nearest(5, 4, rng) for _ in range(20)] for rng in map(np.random.default_rng, (7, 7))]
    assert draws[0] == draws[1]


def test_pool_of_a_split_knows_its_own_faces_only(crowd):
    indices = list(range(3, 30, 2))
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
