import json
import shutil

import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def listing(tmp_path):
    """DeepfakeBench's JSON file, in its tree."""
    return layouts.deepfakebench(tmp_path / "bench")


def change(listing, edit):
    content = json.loads(listing.read_text())
    edit(content["FF-DF"])
    listing.write_text(json.dumps(content))
    return listing


def read(listing, **options):
    return read_manifest(listing, "deepfakebench", **options)


def test_frames_are_in_order_with_their_masks(listing):
    manifest = read(listing)
    assert [(item.method, item.video, item.label) for item in manifest.items] == [
        ("real", "FF-real/000", 0),
        ("real", "FF-real/003", 0),
        ("Deepfakes", "FF-DF/000_003", 1),
        ("Deepfakes", "FF-DF/003_000", 1),
    ]
    for item in manifest.items:
        assert [path.name for path in item.files] == ["9.png", "10.png", "11.png"]
        assert len({path.parent for path in item.files}) == 1
        assert (item.dataset, item.split, item.compression) == ("FF-DF", "test", "c23")
        assert all(path.is_file() for path in (*item.files, *item.masks))
    fake = manifest.items[2]
    assert fake.masks == tuple(path.parents[2] / "masks" / "000_003" / path.name for path in fake.files)
    assert manifest.missing == []


def test_a_frame_that_lacks_its_mask_costs_the_video_its_masks(listing):
    next(listing.parents[2].glob("**/masks/000_003/10.png")).unlink()
    assert [len(item.masks) for item in read(listing).items] == [0, 0, 0, 3]


def test_missing_frames_are_counted_and_the_others_taken(listing):
    next(listing.parents[2].glob("**/frames/000_003/10.png")).unlink()
    shutil.rmtree(next(listing.parents[2].glob("**/frames/003")))
    manifest = read(listing)
    assert [what for what, _ in manifest.missing] == ["FF-DF/FF-real/003", "FF-DF/FF-DF/000_003"]
    assert manifest.missing[0][1].startswith("3 of 3 frames are not there: FaceForensics++/")
    assert manifest.missing[1][1].startswith("1 of 3 frames are not there")
    fake = manifest.items[1]
    assert [path.name for path in fake.files] == ["9.png", "11.png"]
    assert [path.name for path in fake.masks] == ["9.png", "11.png"]


@pytest.mark.parametrize("place", ["FF-DF.json", "datasets/FF-DF.json", "datasets/rgb/FF-DF.json", "a/b/c/FF-DF.json"])
def test_the_frames_are_found_wherever_the_file_lies_in_the_tree(listing, place):
    moved = layouts.put(listing.parents[2] / place)
    listing.replace(moved)
    assert len(read(moved).items) == 4


@pytest.mark.parametrize("prefix", ["./", "./datasets/rgb/", "/another/machine/datasets/", "F:\\"])
def test_the_paths_of_another_machine_are_found(listing, prefix):
    def edit(groups):
        for group in groups.values():
            for video in group["test"]["c23"].values():
                video["frames"] = [prefix + frame for frame in video["frames"]]

    manifest = read(change(listing, edit))
    assert [len(item.files) for item in manifest.items] == [3, 3, 3, 3]


def test_one_methods_frames_are_never_taken_for_anothers(listing):
    """The JSON file lies among the frames of Deepfakes, those of FaceSwap, of the same names, are not there."""

    def edit(groups):
        groups["FF-FS"] = json.loads(json.dumps(groups["FF-DF"]).replace("Deepfakes", "FaceSwap"))

    change(listing, edit)
    among = next(listing.parents[2].glob("**/Deepfakes/c23")) / "FF-DF.json"
    manifest = read(listing.replace(among))
    assert {item.method for item in manifest.items} == {"real", "Deepfakes"}
    assert [what for what, _ in manifest.missing] == ["FF-DF/FF-FS/000_003", "FF-DF/FF-FS/003_000"]


def test_sets_of_one_compression_have_no_such_level(listing):
    def edit(groups):
        for name, label in (("FF-real", "simswap_Real"), ("FF-DF", "simswap_Fake")):
            videos = groups.pop(name)["test"]["c23"]
            groups[label] = {"test": {key: {**video, "label": label} for key, video in videos.items()}}

    items = read(change(listing, edit)).items
    assert [(item.method, item.label, item.compression) for item in items] == [("real", 0, "")] * 2 + [
        ("simswap", 1, "")
    ] * 2
    with pytest.raises(SettingsError, match="has no compressions, not c40; leave out --compression"):
        read(listing, compression="c40")


def test_of_several_compressions_one_must_be_named(listing):
    change(listing, lambda groups: [g["test"].update(c40=g["test"]["c23"]) for g in groups.values()])
    with pytest.raises(SettingsError, match="holds c23, c40; name one: --compression c23"):
        read(listing)
    assert {item.compression for item in read(listing, compression="c40").items} == {"c40"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda groups: groups["FF-DF"].pop("test"), "FF-DF → FF-DF has no split test, but train, val"),
        (lambda groups: groups["FF-DF"].update(test=[]), "FF-DF → FF-DF holds list"),
        (lambda groups: groups["FF-DF"].update(test={"label": "x", "frames": []}), "FF-DF → test → label is no video"),
        (lambda groups: groups["FF-DF"]["test"].update(c23=["x"]), "FF-DF → test → c23 holds list"),
        (lambda groups: groups["FF-DF"]["test"]["c23"].update(x={"label": 1, "frames": []}), "test → x is no video"),
        (
            lambda groups: groups["FF-DF"]["test"]["c23"].update(x={"label": "web", "frames": []}),
            "label 'web' says neither",
        ),
    ],
)
def test_a_damaged_file_says_where(listing, edit, message):
    with pytest.raises(SettingsError, match=rf"FF-DF\.json: .*{message}"):
        read(change(listing, edit))


def test_a_video_without_frames_is_reported(listing):
    change(listing, lambda groups: groups["FF-DF"]["test"]["c23"].update(x={"label": "FF-DF", "frames": []}))
    assert read(listing).missing == [("FF-DF/FF-DF/x", "has no frames")]


def test_a_folder_is_answered_with_the_files_in_it(listing):
    with pytest.raises(SettingsError, match=r"is a folder; name one of DeepfakeBench's JSON files \(.*FF-DF\.json"):
        read(listing.parents[2])
