"""Given fakes: masks are found, fit, and stay beside the crops that they belong to."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from facexray.errors import SettingsError, StoreError
from facexray.faces import masks as masks_module
from facexray.faces import prepare as prepare_module
from facexray.faces import store_writer as writer_module
from facexray.faces.aligned import landmarks
from facexray.faces.crop import Square, cut_crop
from facexray.faces.detector import FaceDetector
from facexray.faces.embedding import identify
from facexray.faces.masks import MaskFolder, SourceMasks, binarise
from facexray.faces.neighbours import FacePool
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.faces.store_writer import StoreWriter
from facexray.images import Frame, read_image, read_video, write_image

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
GREEN = (0, 255, 0)
VIDEO_FRAMES = 4


def half_size(path):
    return cv2.resize(read_image(path), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def forge(image, shade, place=(0.3, 0.55)):
    """A fake whose mask shows in it: a darker photograph (H, W, 3) with a green patch on the cheek, and the mask."""
    box = FaceDetector().detect(image)[0].box
    x, y = (box[:2] + np.array(place) * (box[2:] - box[:2])).astype(int)
    side = int(0.2 * (box[2] - box[0]))
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[y : y + side, x : x + side] = 255
    fake = (image * (1 - 0.02 * shade)).astype(np.uint8)
    fake[mask > 0] = GREEN
    return fake, mask


def check_masks(store):
    """Every mask is white where its own crop is green, to within the pixels that resampling mixes."""
    assert store.has_masks
    core = np.ones((13, 13), np.uint8)
    for index in range(len(store)):
        red, green, blue = store.crop(index).astype(int).transpose(2, 0, 1)
        patch, mask = ((green - np.maximum(red, blue)) > 120).astype(np.uint8), store.mask(index)
        assert (mask.shape, mask.dtype, mask.flags.writeable) == ((317, 317), np.uint8, False)
        assert patch.sum() > 400
        assert mask[cv2.erode(patch, core) > 0].min() == 255
        assert mask[cv2.dilate(patch, core) == 0].max() == 0


def errors_of(out):
    """File name -> reasons, from errors.jsonl."""
    found = {}
    for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        found.setdefault(Path(entry["source"]).name, []).append(entry["reason"])
    return found


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "store.json"}


# A folder of given fakes, good and bad


@pytest.fixture(scope="module")
def given(portraits, make_video, encode_video, tmp_path_factory):
    """Fakes, their masks, the store that was prepared of them, and the summary."""
    root = tmp_path_factory.mktemp("given")
    fakes, masks = root / "fakes", root / "masks"
    for folder in (fakes / "deep", fakes / "deeper", masks / "deep", masks / "deeper"):
        folder.mkdir(parents=True)
    hopper, astronaut = (half_size(path) for path in portraits.values())
    names = ("deep/same.png", "deep/other.jpg.png", "half.png", "elsewhere.png", "two_masks.png", "phone.png")
    for shade, name in enumerate(names):
        fake, mask = forge(hopper, shade)
        write_image(fakes / name, fake)
        write_image(masks / name, mask)
    (masks / "deep" / "other.jpg.png").rename(masks / "deep" / "other.jpg.bmp")
    write_image(masks / "half.png", cv2.resize(read_image(masks / "half.png"), None, fx=0.5, fy=0.5))
    (masks / "elsewhere.png").rename(masks / "deeper" / "elsewhere.png")
    Image.new("L", hopper.shape[1::-1]).save(masks / "two_masks.bmp")  # the one of the same name is taken
    exif = Image.Exif()
    exif[274] = 6  # upright by its orientation alone
    Image.fromarray(np.rot90(read_image(masks / "phone.png"))).save(masks / "phone.png", exif=exif)

    def add(name, shade, mask=None):
        write_image(fakes / name, forge(astronaut, shade)[0])
        if mask is not None:
            write_image(masks / name, mask)

    black = np.zeros(astronaut.shape[:2], np.uint8)
    add("black.png", 0, black)
    add("white.png", 1, black + 255)
    add("shape.png", 2, black[:, :-9])
    add("none.png", 3)
    add("doubtful.png", 4)
    for suffix in (".bmp", ".jpg"):
        write_image(masks / f"doubtful{suffix}", black)
    add("text.png", 5)
    (masks / "text.png").write_text("not a mask")
    for folder in ("deep", "deeper"):  # neither mask may be taken for both
        write_image(fakes / folder / "twin.png", forge(astronaut, 6 + len(folder))[0])
    write_image(masks / "twin.png", black + 255)

    # Two faces, of which one is fake.
    fake, mask = forge(hopper, 9)
    write_image(fakes / "couple.png", np.hstack([fake, hopper]))
    write_image(masks / "couple.png", np.hstack([mask, np.zeros_like(mask)]))

    # A patch that moves from frame to frame, in videos.
    frames, patches = zip(*(forge(hopper, 10, (0.2 + 0.02 * t, 0.55)) for t in range(12)), strict=True)
    coloured = [np.dstack([patch // 2, patch, patch * 0]) for patch in patches]
    for name in ("pan", "short", "cut", "picture"):
        encode_video(fakes / f"{name}.mp4", frames, title=name)
    encode_video(masks / "pan.mp4", coloured)
    encode_video(masks / "short.mp4", coloured[:7])
    whole = encode_video(masks / "cut.mp4", coloured).read_bytes()
    (masks / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    write_image(masks / "picture.png", patches[0])
    summary = prepare([fakes], root / "store", frames=VIDEO_FRAMES, identity="^(hopper)", masks=masks)
    return fakes, masks, root / "store", summary


GOOD = {
    "same.png": 1,
    "other.jpg.png": 1,
    "half.png": 1,
    "elsewhere.png": 1,
    "two_masks.png": 1,
    "phone.png": 1,
    "couple.png": 1,
    "pan.mp4": VIDEO_FRAMES,
    "short.mp4": 2,
}
BAD = {
    "black.png": "face that the mask leaves out",
    "couple.png": "face that the mask leaves out",
    "white.png": "face whose mask covers all of its crop: it has no boundary",
    "shape.png": "mask of another shape: {masks}/shape.png is 256 × 247, the fake 256 × 256",
    "none.png": "no mask: {masks} holds no photograph none.*",
    "picture.mp4": "no mask: {masks} holds no video picture.*",
    "doubtful.png": "more than one mask: {masks}/doubtful.bmp and {masks}/doubtful.jpg; remove one, or mirror",
    "text.png": "mask unreadable: {masks}/text.png: not a photograph",
    "cut.mp4": "mask unreadable: {masks}/cut.mp4: not a readable video",
    "short.mp4": "mask too short: {masks}/short.mp4 has no frame 7",
}


@pytest.mark.parametrize("name", GOOD)
def test_every_fake_with_a_mask_is_in_the_store(given, name):
    assert [Path(source).name for source in FaceStore(given[2]).column("source")].count(name) == GOOD[name]


@pytest.mark.parametrize("name", BAD)
def test_every_other_fake_is_in_the_errors_and_its_mask_is_named(given, name):
    (reason,) = errors_of(given[2])[name]
    assert reason.startswith(BAD[name].format(masks=given[1]))


def test_a_mask_of_one_name_is_not_taken_for_two_fakes(given):
    reasons = errors_of(given[2])["twin.png"]
    assert [reason.split(" holds ")[1] for reason in reasons] == [
        "no photograph deep/twin.*",
        "no photograph deeper/twin.*",
    ]


def test_nothing_else_is_kept_and_all_is_counted(given):
    fakes, _, out, summary = given
    assert summary.faces == len(FaceStore(out)) == sum(GOOD.values())
    assert summary.skipped == {
        "face that the mask leaves out": 2,
        "face whose mask covers all of its crop": 1,
        "mask of another shape": 1,
        "no mask": 4,
        "more than one mask": 1,
        "mask unreadable": 2,
        "mask too short": 1,
    }
    assert summary.sources == sum(1 for path in fakes.rglob("*.*"))
    run = json.loads((out / "store.json").read_text())["runs"][0]
    assert run["settings"]["masks"] == str(given[1])


def test_masks_lie_where_the_crops_were_changed(given):
    """In photographs and, frame by frame, in videos; resized, turned, coloured and compressed masks among them."""
    check_masks(FaceStore(given[2]))


def test_a_mask_is_cut_as_its_crop_is(given):
    fakes, masks, out, _ = given
    store = FaceStore(out)
    (index,) = (i for i, face in enumerate(store) if face.source == str(fakes / "deep" / "same.png"))
    expected = cut_crop(read_image(masks / "deep" / "same.png")[..., 0], store[index].square)
    np.testing.assert_array_equal(store.mask(index), expected)


def test_frames_of_masks_are_those_of_the_video(given):
    fakes, masks, out, _ = given
    store = FaceStore(out)
    frames = list(read_video(masks / "pan.mp4", stride=1))
    found = {face.frame: i for i, face in enumerate(store) if face.source == str(fakes / "pan.mp4")}
    assert list(found) == [1, 4, 7, 10]
    for frame, index in found.items():
        expected = cut_crop(binarise(frames[frame].image), store[index].square)
        np.testing.assert_array_equal(store.mask(index), expected)


def test_a_second_run_adds_nothing_and_redoes_nothing(given, monkeypatch):
    fakes, masks, out, _ = given

    def refuse(*args, **options):
        raise AssertionError("a source was read again")

    for module, name in ((prepare_module, "read_image"), (prepare_module, "read_video"), (masks_module, "read_image")):
        monkeypatch.setattr(module, name, refuse)
    before = contents(out)
    summary = prepare([fakes], out, frames=VIDEO_FRAMES, masks=masks)
    assert (summary.faces, summary.known) == (0, summary.sources)
    assert contents(out) == before


def test_a_mask_that_comes_later_lets_its_fake_in(portraits, copy_of, tmp_path):
    fake, mask = forge(half_size(portraits["hopper"]), 0)
    fakes, masks, out = tmp_path / "fakes", tmp_path / "masks", tmp_path / "s"
    write_image(copy_of(name="fakes") / "a.png", fake)
    copy_of(name="masks")
    assert prepare([fakes], out, masks=masks).skipped == {"no mask": 1}
    assert prepare([fakes], out, masks=masks).known == 1
    write_image(masks / "a.png", mask)
    assert prepare([fakes], out, masks=masks).faces == 1
    check_masks(FaceStore(out))


# Masks by themselves


def test_a_half_decides_for_any_colour():
    picture = np.array(
        [[(0, 0, 0), (127, 127, 127), (128, 0, 0), (0, 200, 30), (0, 0, 128), (255, 255, 255)]], np.uint8
    )
    np.testing.assert_array_equal(binarise(picture), [[0, 0, 255, 255, 255, 255]])


@pytest.mark.parametrize(
    ("size", "fits"),
    [((50, 40), True), ((100, 80), True), ((400, 320), True), ((33, 27), True), ((100, 81), True), ((40, 50), False)],
)
def test_a_mask_of_another_size_fits_if_its_shape_does(size, fits):
    """The left half of any size is the left half of the crop."""
    mask = np.zeros((*size, 3), np.uint8)
    mask[:, : size[1] // 2] = 255
    source = SourceMasks(Path("m.png"), iter([Frame(mask, 0, 0.0)]))
    frame, box = Frame(np.zeros((100, 80, 3), np.uint8), 0, 0.0), np.array([20, 20, 60, 60], np.float32)
    if not fits:
        with pytest.raises(ValueError, match=r"mask of another shape: m.png is 40 × 50, the fake 100 × 80"):
            source.cut(frame, box, Square(0, 0, 80))
        return
    cut = source.cut(frame, box, Square(0, 0, 80)).astype(float)
    assert cut.mean() / 255 == pytest.approx((size[1] // 2) / size[1], abs=0.01)
    assert cut[:, :130].min() == 255
    assert cut[:, -130:].max() == 0


@pytest.mark.parametrize(("pixels", "kept"), [(0, False), (100, False), (101, True)])
def test_another_faces_mask_that_reaches_in_makes_no_fake(pixels, kept):
    """Up to a hundredth of the face's box, whatever lies beyond the box."""
    mask = np.zeros((200, 200, 3), np.uint8)
    mask[:, 150:] = 255
    mask[50 : 50 + min(pixels, 100), 149] = 255
    mask[50 : 50 + pixels // 101, 148] = 255
    frame, box = Frame(mask, 0, 0.0), np.array([50, 50, 149, 149], np.float32)
    cut = SourceMasks(Path("m.png"), iter([frame])).cut(frame, box, Square(20, 20, 160))
    assert isinstance(cut, str) != kept


def test_missing_and_misplaced_mask_folders_are_refused_before_anything_is_written(portraits, copy_of, tmp_path):
    fakes = copy_of(portraits["hopper"])
    (fakes / "masks").mkdir()
    for masks, message in ((tmp_path / "nowhere", "is no folder"), (fakes / "masks", "would be taken for fakes")):
        with pytest.raises(SettingsError, match=f"masks: {masks} .*{message}"):
            prepare([fakes], tmp_path / "s", masks=masks)
    with pytest.raises(SettingsError, match="aligned crops take no masks"):
        prepare([fakes], tmp_path / "s", masks=tmp_path, landmarks=tmp_path / "landmarks.json")
    assert not (tmp_path / "s").exists()


def test_fakes_that_are_named_one_by_one_find_their_masks_by_name(tmp_path):
    for name in ("masks/x/a.png", "masks/b.png", "f/a.png", "f/b.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    named = [tmp_path / "f" / "a.png", tmp_path / "f" / "b.mp4"]
    folder = MaskFolder(tmp_path / "masks", named, named)
    assert folder.find(named[0]) == tmp_path / "masks" / "x" / "a.png"
    with pytest.raises(ValueError, match="holds no video b"):
        folder.find(named[1])


# Stores with masks, and those without


def test_real_faces_and_given_fakes_go_into_stores_of_their_own(given, store, portraits, tmp_path):
    fakes, masks, out, _ = given
    before = contents(out)
    with pytest.raises(StoreError, match=r"holds given fakes, with their masks; real faces, without masks, go into"):
        prepare([portraits["hopper"]], out)
    assert contents(out) == before
    with pytest.raises(StoreError, match=r"holds real faces, without masks; given fakes, with their masks, go into"):
        prepare([fakes], store.path, masks=masks)


@pytest.mark.parametrize("use", [FacePool.of, lambda store: landmarks(store.path, store.path.parent / "aligned")])
def test_given_fakes_are_refused_where_real_faces_are_needed(given, use):
    with pytest.raises(StoreError, match=r"store: holds given fakes with their masks.*--data\.fakes of facexray train"):
        use(FaceStore(given[2]))


def test_a_store_without_masks_has_none_and_says_so(store):
    assert not store.has_masks
    with pytest.raises(StoreError, match=r"its faces have no masks; .*facexray prepare FAKES --masks MASKS"):
        store.mask(0)


def test_masks_travel_to_another_process(given):
    store = FaceStore(given[2])
    mask = store.mask(3)
    travelled = pickle.loads(pickle.dumps(store))
    assert travelled.has_masks
    np.testing.assert_array_equal(travelled.mask(3), mask)


def test_naming_the_people_keeps_the_masks(portraits, copy_of, tmp_path):
    fake, mask = forge(half_size(portraits["hopper"]), 0)
    fakes, masks, out = copy_of(name="fakes"), copy_of(name="masks"), tmp_path / "s"
    write_image(fakes / "hopper_1.png", fake)
    write_image(masks / "hopper_1.png", mask)
    prepare([fakes], out, masks=masks)
    identify(out)
    prepare([fakes], out, masks=masks, identity="^([a-z]+)_")
    assert FaceStore(out).column("identity") == ["hopper"]
    check_masks(FaceStore(out))


def test_an_empty_store_may_become_either(given, store, tmp_path):
    for source, masked in ((FaceStore(given[2]), True), (store, False)):
        for first in (None, True, False):
            out = tmp_path / f"{masked}{first}"
            for masks in (first, None):  # whoever does not care changes nothing
                with StoreWriter(out, {}, masks=masks):
                    pass
            assert FaceStore(out).has_masks == bool(first)
            with StoreWriter(out, {}, masks=masked) as writer:
                writer.add(source[0], source.crop(0), source.mask(0) if masked else None)
                with pytest.raises(StoreError, match="either every face"):
                    writer.add(source[0], source.crop(0), None if masked else source.crop(0)[..., 0])
                writer.end_source(source[0].sha256)
            assert FaceStore(out).has_masks == masked
            np.testing.assert_array_equal(FaceStore(out).crop(0), source.crop(0))


# Kills


@pytest.fixture(scope="module")
def six(portraits, tmp_path_factory):
    """Six fakes with their masks, each patch elsewhere, and the store of an undisturbed run."""
    root = tmp_path_factory.mktemp("six")
    for folder in ("fakes", "masks"):
        (root / folder).mkdir()
    for number in range(6):
        fake, mask = forge(half_size(portraits["astronaut"]), number, (0.2 + 0.1 * number, 0.55))
        write_image(root / "fakes" / f"{number}.png", fake)
        write_image(root / "masks" / f"{number}.png", mask)
    prepare([root / "fakes"], root / "store", masks=root / "masks")
    return root


KILLED = """
import os, signal, sys
from pathlib import Path
from facexray.faces import prepare, store_writer

store_writer.SHARD_FACES = 2
where, calls = sys.argv[2], int(sys.argv[3])
replace = Path.replace

def counted_replace(self, target):
    global calls
    calls -= where == Path(target).name
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = counted_replace
prepare.prepare([Path("fakes")], Path(sys.argv[1]), masks=Path("masks"))
"""


@posix
@pytest.mark.parametrize(("where", "call", "kept"), [("crops-00001.h5", 1, 2), ("faces.parquet", 3, 2)])
def test_killed_run_is_completed_by_the_next_and_masks_stay_with_their_crops(six, tmp_path, where, call, kept):
    command = [sys.executable, "-c", KILLED, tmp_path / "s", where, str(call)]
    killed = subprocess.run(command, capture_output=True, check=False, cwd=six)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(FaceStore(tmp_path / "s")) == kept
    check_masks(FaceStore(tmp_path / "s"))
    summary = prepare([six / "fakes"], tmp_path / "s", masks=six / "masks")
    assert (summary.known, summary.faces) == (kept, 6 - kept)
    stores = FaceStore(tmp_path / "s"), FaceStore(six / "store")
    pairs = [{store[i].id: (store.crop(i).tobytes(), store.mask(i).tobytes()) for i in range(6)} for store in stores]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize("shard_faces", [2, 256])
def test_an_interrupted_video_leaves_neither_crops_nor_masks(six, tmp_path, monkeypatch, shard_faces):
    monkeypatch.setattr(writer_module, "SHARD_FACES", shard_faces)
    source = FaceStore(six / "store")

    def interrupted():
        with StoreWriter(tmp_path / "s", {}, masks=True) as writer:
            for number, end in enumerate((True, False, False, False)):
                writer.add(source[number], source.crop(number), source.mask(number))
                if end:
                    writer.end_source(source[number].sha256)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert FaceStore(tmp_path / "s").column("id") == [source[0].id]
    with StoreWriter(tmp_path / "s", {}) as writer:
        writer.add(source[4], source.crop(4), source.mask(4))
        writer.end_source(source[4].sha256)
    assert FaceStore(tmp_path / "s").column("id") == [source[0].id, source[4].id]
    for path in (tmp_path / "s").glob("crops-*.h5"):
        with h5py.File(path) as shard:
            assert len(shard["crops"]) == len(shard["masks"])
    check_masks(FaceStore(tmp_path / "s"))
