import layouts
import pytest

from facexray.errors import SettingsError
from facexray.evaluation.protocols.registry import read_manifest


@pytest.fixture
def path(tmp_path):
    return layouts.table(tmp_path / "own")


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_of_a_split(path):
    items = read_manifest(path).items
    assert [(item.key, item.label, item.split) for item in items] == [
        (("web", "real", "real/clip.mp4"), 0, "test"),
        (("web", "swap", "fake/clip.mp4"), 1, "test"),
    ]
    assert [item.files for item in items] == [(path.parent / "real/clip.mp4",), (path.parent / "fake/clip.mp4",)]
    assert [item.masks for item in items] == [(), (path.parent / "masks/fake.mp4",)]


def test_rows_of_one_video_are_its_frames_in_their_order(path):
    items = read_manifest(path, split="train").items
    assert [item.key for item in items] == [("web", "real", "b"), ("web", "swap", "b")]
    for item, kind in zip(items, ("real", "fake"), strict=True):
        assert item.files == tuple(path.parent / kind / "frames" / f"{number}.png" for number in (10, 9))


def test_two_columns_are_enough(path):
    write(path, "label,file", "0,real/clip.mp4", "FAKE,fake/clip.mp4")
    for split in ("test", "train"):
        items = read_manifest(path, split=split).items
        assert [item.key for item in items] == [
            ("labels", "real", "real/clip.mp4"),
            ("labels", "fake", "fake/clip.mp4"),
        ]
        assert {item.split for item in items} == {""}


def test_rows_without_a_compression_go_with_any(path):
    """Originals that were never compressed again stand beside each form of the fakes; c0 is another name of raw."""
    lines = ["file,label,compression", "real/clip.mp4,real,", "fake/clip.mp4,fake,c23", "fake/frames/9.png,fake,c0"]
    write(path, *lines)
    for asked, there in (("c23", "c23"), ("c0", "raw"), ("raw", "raw")):
        items = read_manifest(path, compression=asked).items
        assert [(item.label, item.compression) for item in items] == [(0, ""), (1, there)]
    with pytest.raises(SettingsError, match="names c23, raw, not c40"):
        read_manifest(path, compression="c40")
    write(path, *lines[:3])
    assert [item.compression for item in read_manifest(path).items] == ["", "c23"]
    write(path, "file,label", "real/clip.mp4,real", "fake/clip.mp4,fake")
    with pytest.raises(SettingsError, match="names nothing, not c23; leave out --compression"):
        read_manifest(path, compression="c23")


def test_compressions_are_chosen_and_never_mixed(path):
    layouts.put(path.parent / "c40" / "clip.mp4")
    write(
        path,
        "file,label,video,compression",
        "real/clip.mp4,real,r,c23",
        "real/frames/9.png,real,r,c40",
        "fake/clip.mp4,fake,f,c23",
        "c40/clip.mp4,fake,f,c40",
    )
    with pytest.raises(SettingsError, match="holds c23, c40 as compressions; name one"):
        read_manifest(path)
    items = read_manifest(path, compression="c40").items
    assert [(item.video, item.compression) for item in items] == [("r", "c40"), ("f", "c40")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,maybe,web,,v,test,,", "line 8 says 'maybe' of 'a.png'"),
        (",real,web,,v,test,,", "line 8 says 'real' of ''"),
        ("a.png,real,web,,v,holdout,,", "line 8 has the split 'holdout'; known are train, val, test"),
        ("a.png,real,web,,v,,,", "line 8 has the split ''"),
        ("a.png,real,web,,v,test,h264,", "line 8 has the compression 'h264'"),
        ("a.png,fake,web,real,v,test,,", "line 8 is a fake of a method called real"),
        ("real/clip.mp4,real,web,,v,test,,", "line 8 names the file of line 2 again"),
        ("a.png,real,web,,b,test,,", "line 8 is a frame of the video of line 3, but of another split"),
        ("a.png,fake,web,swap,b,train,,a_mask.png", "line 8 is a frame of the video of line 6, .* has no mask"),
        ("a.mp4,real,web,,b,train,,", "line 8 makes, with line 3, one video of files that are videos"),
    ],
)
def test_a_wrong_row_is_named(path, row, message):
    with path.open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(SettingsError, match=rf"labels\.csv: {message}"):
        read_manifest(path)


def test_what_is_not_there_is_named_and_costs_no_more_than_itself(path):
    write(
        path,
        "file,label,video,mask",
        "real/clip.mp4,0,,",
        "real/gone.mp4,0,,",
        "fake/frames/10.png,1,v,masks/real.mp4",
        "fake/frames/8.png,1,v,masks/fake.mp4",
        "fake/clip.mp4,1,,masks/gone.mp4",
        "fake/frames/9.png,1,w,masks/lost.mp4",
        "real/frames/9.png,1,w,masks/fake.mp4",
    )
    manifest = read_manifest(path)
    assert [item.video for item in manifest.items] == ["real/clip.mp4", "v", "fake/clip.mp4", "w"]
    assert manifest.items[1].files == (path.parent / "fake/frames/10.png",)
    assert manifest.items[1].masks == (path.parent / "masks/real.mp4",)
    assert [len(item.files) for item in manifest.items[2:]] == [1, 2]
    assert [item.masks for item in manifest.items[2:]] == [(), ()]
    gone = ("real/gone.mp4", "fake/frames/8.png", "masks/gone.mp4", "masks/lost.mp4")
    assert manifest.missing == [(str(path.parent / name), "not there") for name in gone]


def test_a_reals_method_and_mask_are_nothing(path):
    write(path, "file,label,method,mask", "real/clip.mp4,0,original,masks/real.mp4", "fake/clip.mp4,1,,")
    assert [(item.method, item.masks) for item in read_manifest(path).items] == [("real", ()), ("fake", ())]


def test_a_table_without_the_columns_is_refused(path):
    write(path, "path,label", "a.png,0")
    with pytest.raises(
        SettingsError, match=r"labels\.csv: has the columns path, label; expected columns file and label"
    ):
        read_manifest(path)
