import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facexray.errors import SettingsError, StoreError
from facexray.faces import prepare as prepare_module
from facexray.faces import store_writer as writer_module
from facexray.faces.crop import Square, cut_crop
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.images import read_image, sha256_of, write_image
from facexray.media import find_sources

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


def errors_of(out):
    """File name -> reasons, from errors.jsonl."""
    path = out / "errors.jsonl"
    reasons = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        entry = json.loads(line)
        reasons.setdefault(Path(entry["source"]).name, []).append(entry["reason"])
    return reasons


def faces_of(store):
    """File name -> number of faces."""
    names = [Path(source).name for source in store.column("source")]
    return {name: names.count(name) for name in names}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "store.json"}


@pytest.fixture
def no_work(monkeypatch):
    """Reading any photograph or video fails the test."""

    def refuse(*args):
        raise AssertionError("a source was read again")

    monkeypatch.setattr(prepare_module, "read_image", refuse)
    monkeypatch.setattr(prepare_module, "read_video", refuse)


@pytest.fixture(scope="module")
def crowd_image(portraits):
    """40 faces of about 100 px, in 8 × 5 tiles of 192 px."""
    image = read_image(portraits["hopper"])[30:430, 70:470]
    return np.tile(cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA), (5, 8, 1))


# A hostile folder

VIDEO_FRAMES = 6


@pytest.fixture(scope="module")
def hostile(portraits, broken_files, crowd_image, make_video, tmp_path_factory):
    """A folder of good, bad and odd files, prepared; the summary, the store, and the folders."""
    folder = tmp_path_factory.mktemp("hostile") / "in"
    shutil.copytree(broken_files[0], folder)
    hopper, astronaut = (read_image(path) for path in portraits.values())
    shutil.copy(portraits["hopper"], folder / "hopper.jpg")
    (folder / "deep" / "er").mkdir(parents=True)
    shutil.copy(portraits["astronaut"], folder / "deep" / "er" / "宇航员.png")
    shutil.copy(portraits["hopper"], folder / "same bytes.jpg")
    make_video(folder / "pan.mp4", astronaut)
    whole = make_video(folder / "half.mp4", hopper, options={"movflags": "+faststart"}).read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    write_image(folder / "crowd.png", crowd_image)
    write_image(folder / "small.png", cv2.resize(hopper, (77, 90), interpolation=cv2.INTER_AREA))
    Image.new("RGB", (1, 1)).save(folder / "1x1.png")
    Image.new("RGB", (300, 200), "gray").save(folder / "nobody.png")
    Image.effect_noise((20_000, 40), 80).convert("RGB").save(folder / "strip.png")
    sideways = Image.fromarray(np.rot90(hopper))  # upright by its EXIF orientation alone
    exif = Image.Exif()
    exif[274] = 6
    sideways.save(folder / "phone.jpg", exif=exif)
    shutil.copy(folder / "hopper.jpg", os.fsencode(folder) + b"/\xc4\xe3.jpg")
    with Path(os.fsdecode(os.fsencode(folder) + b"/\xc4\xe3.jpg")).open("ab") as file:
        file.write(b"\0")  # other bytes, so that it is a source of its own
    (folder / "notes.txt").write_text("no source")
    out = tmp_path_factory.mktemp("hostile_store") / "store"
    summary = prepare([folder], out, frames=VIDEO_FRAMES)
    return folder, out, summary


GOOD = {"hopper.jpg": 1, "宇航员.png": 1, "phone.jpg": 1, "pan.mp4": VIDEO_FRAMES, r"\udcc4\udce3.jpg": 1}
BAD = {
    "nobody.png": "no face found",
    "1x1.png": "no face found",
    "strip.png": "no face found",
    "small.png": "face smaller than 48 px",
    "half.mp4": "cut off",
}


@pytest.mark.parametrize("name", GOOD)
def test_every_good_source_is_in_the_store(hostile, name):
    _, out, _ = hostile
    found = faces_of(FaceStore(out))
    if name == "hopper.jpg" and name not in found:
        name = "same bytes.jpg"
    assert found[name] == GOOD[name]
    assert name not in errors_of(out)


@pytest.mark.parametrize("name", BAD)
def test_every_bad_source_is_in_the_errors_with_its_reason(hostile, name):
    (reason,) = errors_of(hostile[1])[name]
    assert reason.startswith(BAD[name])


def test_every_broken_file_is_in_the_errors_with_its_reason(hostile, broken_files):
    errors = errors_of(hostile[1])
    for name, pattern in broken_files[1].items():
        (reason,) = errors[name]
        assert re.search(pattern, reason)
        assert name not in reason, "the line names the file once already"


def test_no_source_is_lost_and_none_invented(hostile):
    folder, out, summary = hostile
    sources = {path.name for path in find_sources([folder]).files}
    sources = {name.encode(errors="backslashreplace").decode() for name in sources}
    in_store = set(faces_of(FaceStore(out)))
    assert in_store | set(errors_of(out)) | {"hopper.jpg", "same bytes.jpg"} == sources
    assert {"hopper.jpg", "same bytes.jpg"} & in_store in ({"hopper.jpg"}, {"same bytes.jpg"})
    assert summary.sources == len(sources)
    assert summary.known == 1
    assert summary.ignored == 1


def test_most_of_forty_faces_are_kept(hostile):
    _, out, _ = hostile
    kept = faces_of(FaceStore(out))["crowd.png"]
    assert kept >= 36


def test_readable_part_of_a_cut_video_is_kept(hostile):
    _, out, _ = hostile
    assert faces_of(FaceStore(out))["half.mp4"] == VIDEO_FRAMES  # spread over the part that is there


def test_summary_counts_what_is_in_the_store_and_in_the_errors(hostile):
    _, out, summary = hostile
    assert summary.faces == len(FaceStore(out))
    assert summary.skipped.total() == sum(len(reasons) for reasons in errors_of(out).values())
    assert json.loads((out / "store.json").read_text())["runs"][-1]["skipped"] == summary.skipped
    text = str(summary)
    assert f"{summary.faces} faces added from {summary.sources} sources" in text
    assert "errors.jsonl" in text


def test_summary_says_how_many_people_there_are(portraits, tmp_path):
    """By folders, a flat folder is one person; a rule that half fits makes one of many."""
    (tmp_path / "photos").mkdir()
    for number in range(6):
        image = read_image(portraits["hopper"]) // (number + 1)
        write_image(tmp_path / "photos" / f"{'a' if number < 4 else 'bc'[number % 2]}-{number}.png", image)
    text = str(prepare([tmp_path / "photos"], tmp_path / "flat", identity="folder"))
    assert "all 6 faces are of one person; if not, --identity says who is who" in text
    text = str(prepare([tmp_path / "photos"], tmp_path / "named", identity="(.)-"))
    assert "6 faces of 3 people in all, at most 4 of one; if not" in text
    assert str(prepare([tmp_path / "photos"], tmp_path / "own")).endswith(
        "6 faces of 6 people in all, at most 1 of one"
    )


def test_ids_are_unique(hostile):
    ids = FaceStore(hostile[1]).column("id")
    assert len(set(ids)) == len(ids)


def test_frames_of_a_video_share_its_key_and_nobody_elses(hostile):
    store = FaceStore(hostile[1])
    pan = [face for face in store if face.source.endswith("pan.mp4")]
    assert [face.frame for face in pan] == [2, 6, 10, 14, 18, 22]
    (key,) = {face.video for face in pan}
    assert key not in {face.video for face in store if not face.source.endswith("pan.mp4")}


def test_crop_is_what_the_square_cuts_from_the_source(hostile, portraits):
    store = FaceStore(hostile[1])
    (index,) = (i for i, face in enumerate(store) if face.source.endswith("宇航员.png"))
    face, image = store[index], read_image(portraits["astronaut"])
    np.testing.assert_array_equal(store.crop(index), cut_crop(image, Square.around(face.box)))
    assert face.sha256 == sha256_of(portraits["astronaut"])
    eyes = face.square.to_image(face.landmarks)[[*range(36, 48)]].reshape(2, 6, 2).mean(1)
    np.testing.assert_allclose(eyes, [(200, 100), (248, 102)], atol=6)  # by hand


def test_sideways_phone_photo_gives_an_upright_crop(hostile):
    store = FaceStore(hostile[1])
    crops = {Path(face.source).name: store.crop(i) for i, face in enumerate(store)}
    upright = crops.get("hopper.jpg", crops.get("same bytes.jpg"))
    assert np.abs(crops["phone.jpg"].astype(int) - upright).mean() < 12


@pytest.fixture
def hostile_copy(hostile, tmp_path):
    """The hostile folder's store, free to be changed."""
    return hostile[0], shutil.copytree(hostile[1], tmp_path / "store")


def test_second_run_adds_nothing_and_redoes_nothing(hostile_copy, no_work):
    folder, out = hostile_copy
    before = contents(out)
    summary = prepare([folder], out, frames=VIDEO_FRAMES)
    assert contents(out) == before
    assert summary.faces == 0
    assert summary.known == summary.sources
    assert "looked at by an earlier run already" in str(summary)


def test_a_video_without_a_face_is_looked_at_again_at_other_frames(portraits, encode_video, tmp_path):
    face = cv2.resize(read_image(portraits["hopper"])[:512], (256, 256))
    encode_video(tmp_path / "late.mp4", [np.full_like(face, 120)] * 15 + [face] * 5)
    out = tmp_path / "store"
    assert prepare([tmp_path / "late.mp4"], out, frames=1).skipped == {"no face found": 1}
    assert prepare([tmp_path / "late.mp4"], out, frames=1).known == 1
    assert prepare([tmp_path / "late.mp4"], out, frames=8).faces == 2


def test_new_file_is_added_on_the_third_run(hostile_copy, portraits, tmp_path):
    folder, out = hostile_copy
    faces, errors = len(FaceStore(out)), (out / "errors.jsonl").read_bytes()
    image = np.ascontiguousarray(read_image(portraits["astronaut"])[:, ::-1])
    write_image(tmp_path / "new.png", image)
    summary = prepare([folder, tmp_path / "new.png"], out, frames=VIDEO_FRAMES)
    assert summary.faces == 1
    assert summary.known == summary.sources - 1
    store = FaceStore(out)
    assert len(store) == faces + 1
    assert store[faces].source.endswith("new.png")
    assert (out / "errors.jsonl").read_bytes() == errors


def test_source_that_could_not_be_read_comes_again(tmp_path, portraits):
    late = tmp_path / "late.jpg"
    late.symlink_to(tmp_path / "not mounted" / "photo.jpg")
    assert prepare([late], tmp_path / "s").skipped == {"cannot be read": 1}
    late.unlink()
    shutil.copy(portraits["hopper"], late)
    assert prepare([late], tmp_path / "s").faces == 1


# Options


@pytest.mark.parametrize(("min_face", "kept"), [(200, 1), (230, 0)])
def test_smaller_faces_than_asked_for_are_counted_not_kept(tmp_path, portraits, min_face, kept):
    summary = prepare([portraits["hopper"]], tmp_path / "s", min_face=min_face)  # the face is 212 px high
    assert summary.faces == kept
    assert summary.skipped == ({} if kept else {"face smaller than 230 px": 1})


def test_stride_takes_every_so_manieth_frame(tmp_path, portraits, make_video):
    video = make_video(tmp_path / "pan.mp4", read_image(portraits["hopper"]))
    prepare([video], tmp_path / "s", stride=10)
    assert FaceStore(tmp_path / "s").column("frame") == [0, 10, 20]


@pytest.mark.parametrize("options", [{"frames": 0}, {"stride": 0}, {"stride": -1}], ids=str)
def test_senseless_numbers_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(SettingsError, match="must be at least 1"):
        prepare([tmp_path], tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_identities_reach_the_store_and_those_missing_are_counted(tmp_path, portraits, copy_of):
    folder = copy_of(*portraits.values())
    summary = prepare([folder], tmp_path / "s", identity="(grace)")
    assert set(FaceStore(tmp_path / "s").column("identity")) == {"grace", None}
    assert summary.without_identity == 1


# Kills and full disks


def test_face_beside_a_skipped_one_survives_a_kill(tmp_path, portraits, monkeypatch):
    """The skipped face's line must not make the source known before its other face is written."""
    image = np.full((600, 700, 3), 128, np.uint8)
    image[:, :512] = read_image(portraits["hopper"])
    image[100:190, 560:637] = cv2.resize(image[:, :512], (77, 90), interpolation=cv2.INTER_AREA)
    write_image(tmp_path / "two.png", image)
    monkeypatch.setattr(writer_module.StoreWriter, "close_shard", lambda self: None)  # as a kill does
    assert prepare([tmp_path / "two.png"], tmp_path / "s").skipped == {"face smaller than 48 px": 1}
    assert len(FaceStore(tmp_path / "s")) == 0
    monkeypatch.undo()
    assert prepare([tmp_path / "two.png"], tmp_path / "s").faces == 1
    assert len(FaceStore(tmp_path / "s")) == 1


@pytest.fixture(scope="module")
def twelve(portraits, tmp_path_factory):
    """12 photographs: the two portraits, small, ever darker."""
    folder = tmp_path_factory.mktemp("twelve")
    for path in portraits.values():
        image = cv2.resize(read_image(path), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        for step in range(6):
            write_image(folder / f"{path.stem}_{step}.png", (image * (1 - 0.05 * step)).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def whole_store(twelve, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "s"
    prepare([twelve], out)
    return FaceStore(out)


def by_source(store):
    """File name -> the face's crop and landmarks, as bytes; each source must be there once."""
    names = [Path(source).name for source in store.column("source")]
    assert len(set(names)) == len(names)
    return {name: (store.crop(index).tobytes(), store.landmarks[index].tobytes()) for index, name in enumerate(names)}


KILLED = """
import os, signal, sys
from pathlib import Path
from facexray.faces import prepare, store_writer

store_writer.SHARD_FACES = 4
where, calls = sys.argv[3], int(sys.argv[4])
add, replace = store_writer.StoreWriter.add, Path.replace

def die_at_last(here):
    global calls
    calls -= here
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def counted_add(self, *args):
    add(self, *args)
    die_at_last(where == "add")

def counted_replace(self, target):
    die_at_last(where == Path(target).name)
    return replace(self, target)

store_writer.StoreWriter.add, Path.replace = counted_add, counted_replace
prepare.prepare([Path(sys.argv[1])], Path(sys.argv[2]))
"""


@posix
@pytest.mark.parametrize(
    ("where", "call", "kept", "unfinished"),
    [
        ("add", 7, 4, False),  # amid the second shard
        ("crops-00000.h5", 1, 0, True),  # the first shard is written, not yet renamed
        ("faces.parquet", 3, 4, True),  # the second shard is there, its faces not yet entered
    ],
)
def test_killed_run_is_completed_by_the_next(twelve, whole_store, tmp_path, where, call, kept, unfinished):
    out = tmp_path / "s"
    command = [sys.executable, "-c", KILLED, twelve, out, where, str(call)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(FaceStore(out)) == kept
    assert any(path.suffix == ".part" for path in out.iterdir()) == unfinished
    summary = prepare([twelve], out)
    assert (summary.known, summary.faces) == (kept, 12 - kept)
    assert by_source(FaceStore(out)) == by_source(whole_store)
    assert not any(path.suffix == ".part" for path in out.iterdir())


FULL = """
import resource, sys
from pathlib import Path
from facexray.errors import StoreError
from facexray.faces import prepare

resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))  # two crops and a bit
try:
    prepare.prepare([Path(sys.argv[1])], Path(sys.argv[2]))
except StoreError as error:
    print(error)
"""


@posix
def test_disk_that_refuses_a_shard_is_an_error_not_a_crash(twelve, whole_store, tmp_path):
    """HDF5, writing to a full disk by itself, ended the process with a segmentation fault."""
    out = tmp_path / "s"
    run = subprocess.run([sys.executable, "-c", FULL, twelve, out], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"{out}: writing failed" in run.stdout
    assert "free space and run the same command again" in run.stdout
    assert len(FaceStore(out)) == 0
    assert prepare([twelve], out).faces == 12
    assert by_source(FaceStore(out)) == by_source(whole_store)


def test_full_disk_is_an_error_with_its_remedy(twelve, whole_store, tmp_path, monkeypatch):
    def full(path, data):
        if path.suffix == ".h5" and path.name != "crops-00000.h5":
            raise OSError(errno.ENOSPC, "No space left on device")
        original(path, data)

    original = writer_module.write_bytes
    monkeypatch.setattr(writer_module, "SHARD_FACES", 5)
    monkeypatch.setattr(writer_module, "write_bytes", full)
    with pytest.raises(StoreError, match=r"No space left on device.*free space and run the same command again"):
        prepare([twelve], tmp_path / "s")
    assert len(FaceStore(tmp_path / "s")) == 5
    monkeypatch.undo()
    assert prepare([twelve], tmp_path / "s").faces == 7
    assert by_source(FaceStore(tmp_path / "s")) == by_source(whole_store)


@pytest.mark.slow
def test_every_senator_is_a_face_or_an_error(faces_dir, tmp_path):
    summary = prepare([faces_dir / "us_senate"], tmp_path / "s")
    photos = {path.name for path in find_sources([faces_dir / "us_senate"]).files}
    assert summary.sources == len(photos) >= 99
    found = faces_of(FaceStore(tmp_path / "s"))
    assert set(found) | set(errors_of(tmp_path / "s")) == photos
    assert len(found) >= 98


def test_a_source_that_failed_by_a_setting_comes_again_when_the_setting_changes(portraits, copy_of, tmp_path):
    photos, out = copy_of(portraits["astronaut"]), tmp_path / "store"
    assert prepare([photos], out, min_face=400).faces == 0
    assert prepare([photos], out, min_face=400).known == 1
    assert prepare([photos], out, min_face=48).faces == 1


@posix
def test_a_pipe_with_a_photographs_name_is_refused_not_waited_for(tmp_path):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    summary = prepare([tmp_path / "in"], tmp_path / "store")
    assert dict(summary.skipped) == {"is no regular file": 1}


def test_a_second_run_with_a_rule_names_the_people(portraits, copy_of, tmp_path):
    photos, out = copy_of(*portraits.values()), tmp_path / "store"
    prepare([photos], out)
    assert FaceStore(out).column("identity") == [None, None]
    assert prepare([photos], out, identity=r"(.+)\.").known == 2
    assert sorted(FaceStore(out).column("identity")) == ["astronaut", "grace_hopper"]
    prepare([photos], out)
    assert sorted(FaceStore(out).column("identity")) == ["astronaut", "grace_hopper"]


def test_files_that_only_look_like_leftovers_are_kept(portraits, copy_of, tmp_path):
    photos, out = copy_of(portraits["hopper"]), tmp_path / "store"
    out.mkdir()
    (out / ".movie.mp4.part").write_text("half a film")
    prepare([photos], out)
    assert (out / ".movie.mp4.part").read_text() == "half a film"


def test_a_source_that_does_not_exist_is_refused_before_anything_is_written(portraits, tmp_path):
    with pytest.raises(SettingsError, match=r"no such file or folder: .*nowhere"):
        prepare([portraits["hopper"], tmp_path / "nowhere"], tmp_path / "store")
    assert not (tmp_path / "store").exists()
