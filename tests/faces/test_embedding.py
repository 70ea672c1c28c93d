import re
import shutil

import numpy as np
import pytest

from facexray.cli import main
from facexray.errors import SettingsError, StoreError
from facexray.faces import embedding as module
from facexray.faces.embedding import AUTO, THRESHOLD, cluster, embed, identify, name_by_likeness
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import read_image
from facexray.media import find_sources


@pytest.fixture
def nameless(store, tmp_path):
    """A copy of the store of 2 people × 3 variants, in which nobody is named, and who they are."""
    path = tmp_path / "nameless"
    shutil.copytree(store.path, path)
    name(path, [None] * len(store))
    return path, store.column("identity")


@pytest.fixture
def calls(monkeypatch):
    """The faces for which an embedding was computed, as they are computed."""
    made = []

    def counted(crop, landmarks):
        made.append(landmarks)
        return embed(crop, landmarks)

    monkeypatch.setattr(module, "embed", counted)
    return made


def name(path, identities):
    with StoreWriter(path, {}) as writer:
        writer.name_faces(identities)


def identities(path):
    return FaceStore(path).column("identity")


def at(*places):
    """Embeddings (N, 128) at these places on a line."""
    points = np.zeros((len(places), 128), np.float32)
    points[:, 0] = places
    return points


def test_two_people_in_three_variants_are_found(nameless):
    path, people = nameless
    summary = identify(path)
    found = identities(path)
    assert len(set(zip(people, found, strict=True))) == len(set(found)) == 2
    ids = FaceStore(path).column("id")
    assert set(found) == {AUTO + ids[people.index(who)] for who in set(people)}
    assert (summary.faces, summary.unknown, summary.joined, summary.people, summary.alone) == (6, 6, 0, 2, 0)


def test_a_video_of_two_people_shows_two(portraits, encode_video, copy_of, tmp_path):
    hopper, astronaut = (read_image(path)[:480, :480] for path in portraits.values())
    encode_video(tmp_path / "two.mp4", [np.concatenate([hopper, astronaut], axis=1)] * 3)
    prepare([tmp_path / "two.mp4", copy_of(portraits["hopper"])], tmp_path / "store")
    summary = identify(tmp_path / "store")
    right = {"hopper": set(), "astronaut": set()}
    for face in FaceStore(tmp_path / "store"):
        right["astronaut" if face.source.endswith("mp4") and face.box[0] > 480 else "hopper"].add(face.identity)
    assert (summary.faces, summary.people, summary.alone) == (7, 2, 0)
    assert [len(names) for names in right.values()] == [1, 1]


def test_an_unknown_face_joins_the_person_it_resembles(nameless):
    path, people = nameless
    hopper = people.index("hopper")
    name(path, [who if index == hopper else None for index, who in enumerate(people)])
    summary = identify(path)
    assert [who == "hopper" for who in identities(path)] == [who == "hopper" for who in people]
    assert (summary.unknown, summary.joined, summary.people, summary.alone) == (5, 2, 1, 0)


def test_given_identities_stay_and_found_ones_are_found_anew(nameless):
    path, people = nameless
    wrong = ["eve" if who == "hopper" else AUTO + str(index % 2) for index, who in enumerate(people)]
    name(path, wrong)
    summary = identify(path)
    found = identities(path)
    assert [who == "eve" for who in found] == [who == "hopper" for who in people]
    assert len(set(found)) == 2
    assert summary.unknown == 3


def test_prepare_puts_given_identities_over_found_ones(portraits, copy_of, tmp_path):
    folder, path = copy_of(*portraits.values()), tmp_path / "store"
    prepare([folder], path)
    name(path, [AUTO + "a", AUTO + "b"])
    prepare([folder], path, identity="(hopper)")
    assert sorted(identities(path)) == [AUTO + "b", "hopper"] or sorted(identities(path)) == [AUTO + "a", "hopper"]


def test_a_store_of_named_people_is_left_alone(nameless, calls):
    path, people = nameless
    name(path, people)
    assert identify(path).unknown == 0
    assert identities(path) == people
    assert calls == []


def test_a_grown_store_computes_only_what_is_new(portraits, copy_of, tmp_path, calls):
    path = tmp_path / "store"
    prepare([portraits["hopper"]], path)
    assert identify(path).alone == 1
    assert identities(path) == [None]
    prepare([portraits["astronaut"]], path)
    assert identify(path).computed == 1
    assert np.allclose([landmarks.mean() for landmarks in calls], FaceStore(path).landmarks.mean(axis=(1, 2)))
    assert identify(path).computed == 0


def test_a_kill_costs_what_was_not_yet_saved(nameless, monkeypatch):
    path, calls = nameless[0], []
    monkeypatch.setattr(module, "SAVE_EVERY", 2)

    def killed_at_the_sixth(crop, landmarks):
        if len(calls) == 5:
            raise SystemExit("killed")
        calls.append(landmarks)
        return embed(crop, landmarks)

    monkeypatch.setattr(module, "embed", killed_at_the_sixth)
    with pytest.raises(SystemExit, match="killed"):
        identify(path)
    assert identities(path) == [None] * 6
    monkeypatch.setattr(module, "embed", embed)
    again = identify(path)
    assert again.computed == 2
    assert again.people == 2


def test_kept_embeddings_are_those_of_their_faces(nameless):
    path, _ = nameless
    store = FaceStore(path)
    first, computed = module.embed_store(store)
    kept, none = module.embed_store(store)
    assert (computed, none) == (6, 0)
    assert np.array_equal(first, kept)
    assert np.array_equal(kept[4], embed(store.crop(4), store.landmarks[4]))


def test_a_full_disk_is_told(nameless, monkeypatch):
    def full(table, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pq, "write_table", full)
    with pytest.raises(StoreError, match="free space"):
        identify(nameless[0])


def test_damaged_embeddings_are_told(nameless):
    (nameless[0] / "embeddings.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"embeddings\.parquet.*delete it"):
        identify(nameless[0])


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_a_threshold_out_of_its_range_is_refused(nameless, threshold):
    with pytest.raises(SettingsError, match=r"\(0, 1\]"):
        identify(nameless[0], threshold)


def test_where_no_store_is_none_is_made(tmp_path):
    with pytest.raises(StoreError, match="facexray prepare"):
        identify(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_command_says_what_it_found_and_that_it_errs(nameless, capsys):
    assert main(["identify", str(nameless[0])]) == 0
    out = capsys.readouterr().out
    assert "6 are 2 people" in out
    assert "It errs" in out
    assert re.search(r"6 embeddings, \d+ ms per face", out)


def test_names_come_from_the_nearest_given_face_of_the_cluster():
    given = ["ann", None, "bob", None, None, None, None, "eve"]
    places = at(0.0, 0.3, 0.5, 5.0, 5.4, 9.0, 0.1, 0.5)
    names = name_by_likeness([f"f{index}" for index in range(8)], given, places, 0.6)
    assert names == ["ann", "bob", "bob", "auto:f3", "auto:f3", None, "ann", "eve"]


@pytest.mark.parametrize(("distance", "together"), [(0.49, True), (0.51, False)])
def test_the_threshold_is_the_distance_up_to_which_faces_are_one_person(distance, together):
    first, second = cluster(at(0.0, distance), THRESHOLD)
    assert (first == second) == together


def test_clusters_are_the_same_every_time():
    crowd = np.random.default_rng(3).normal(0, 0.04, (300, 128)).astype(np.float32)
    near = np.median(np.linalg.norm(crowd[:1] - crowd[1:], axis=1)) * 0.9  # so that chance decides
    labels = cluster(crowd, near)
    assert 1 < len(set(labels)) < 300
    assert all(cluster(crowd, near) == labels for _ in range(3))


def test_neutral_and_smiling_are_one_person(faces_dir, tmp_path):
    """Of the first 30 people, with the pair that is farthest apart; strangers may be taken for one now and then."""
    photos = [path for path in find_sources([faces_dir / "london"]).files if re.search("_0[0-3][0-9]_", path.name)]
    prepare(photos, tmp_path / "store")
    identify(tmp_path / "store")
    store = FaceStore(tmp_path / "store")
    pairs = {(re.search("_([0-9]+)_", face.source)[1], face.identity) for face in store}
    people, found = ({pair[place] for pair in pairs} for place in (0, 1))
    assert len(people) >= 30
    assert None not in found
    assert len(pairs) == len(people), "somebody was taken for two people"
    assert len(found) >= 0.9 * len(people), "people were taken for one another"
