"""The masks that come with given fakes: which pixels of a picture or frame were manipulated.

Data sets such as FaceForensics++ give each manipulated video a mask video: white, or coloured, where the face was
replaced, and black elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facexray.errors import MediaError, SettingsError
from facexray.faces.crop import Square, cut_crop
from facexray.images import Frame, read_image, read_video
from facexray.media import find_sources, is_video

Mask = NDArray[np.uint8]
"""(H, W) uint8: 255 where manipulated, 0 where not; in between where one pixel is of both."""

MIN_COVER = 0.01
"""Least share of a face's box that its mask must cover: another face's mask may reach in."""
LEFT_OUT = "face that the mask leaves out"
COVERED = "face whose mask covers all of its crop: it has no boundary"


class MaskFolder:
    """A folder of masks that mirrors the given fakes' own."""

    def __init__(self, folder: Path, named: Sequence[Path], sources: Sequence[Path]) -> None:
        """List the masks of a folder.

        Args:
            folder: The masks: photographs for photographs, videos for videos.
            named: The sources as the user named them.
            sources: The files that were found there.

        Raises:
            SettingsError: No such folder, or it lies among the sources.
        """
        if not folder.is_dir():
            raise SettingsError(f"masks: {folder} is no folder; name the one that mirrors the fakes' folder")
        self.folder, self._roots = folder, [path for path in named if path.is_dir()]
        for root in self._roots:
            if folder.resolve().is_relative_to(root.resolve()):
                raise SettingsError(
                    f"masks: {folder} lies in {root}, and would be taken for fakes; name the folder of the fakes alone"
                )
        self._sources = Counter((path.stem, is_video(path)) for path in sources)
        self._by_place: dict[tuple[Path, bool], list[Path]] = defaultdict(list)
        self._by_name: dict[tuple[str, bool], list[Path]] = defaultdict(list)
        for path in find_sources([folder]).files:
            self._by_place[path.relative_to(folder).with_suffix(""), is_video(path)].append(path)
            self._by_name[path.stem, is_video(path)].append(path)

    def find(self, source: Path) -> Path:
        """The mask of a source: at the same place below the folder, whatever its suffix.

        Where there is none, it is the mask of the source's name, if neither a second mask nor a second source has it.

        Raises:
            MediaError: There is none, or more than one.
        """
        video = is_video(source)
        place = self._place(source)
        found = self._by_place.get((place, video), [])
        if not found and self._sources[source.stem, video] < 2:
            found = self._by_name.get((source.stem, video), [])
        if len(found) > 1:
            found = [path for path in found if path.name == source.name] or found
        if not found:
            kind = "video" if video else "photograph"
            raise MediaError(f"no mask: {self.folder} holds no {kind} {place}.*")
        if len(found) > 1:
            raise MediaError(f"more than one mask: {found[0]} and {found[1]}; remove one, or mirror the fakes' folders")
        return found[0]

    def _place(self, source: Path) -> Path:
        for root in self._roots:
            if source.is_relative_to(root):
                return source.relative_to(root).with_suffix("")
        return Path(source.stem)

    def fingerprint(self) -> str:
        """A SHA-256 of the masks' names and sizes: after a change of it, a fake without a mask may have one."""
        digest = hashlib.sha256()
        for path in sorted(path for paths in self._by_name.values() for path in paths):
            size = path.stat().st_size if path.is_file() else -1
            digest.update(f"{path.relative_to(self.folder)}\0{size}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def open(self, source: Path, stride: int | None) -> SourceMasks:
        """The masks of a source's frames.

        Args:
            source: A photograph or video.
            stride: Every how many-th frame of a video will be asked for; None where that is not known.

        Raises:
            MediaError: There is none, or more than one.
        """
        path = self.find(source)
        return open_masks(path, stride)


def open_masks(path: Path, stride: int | None) -> SourceMasks:
    """The masks in a file, a photograph or a video; see `MaskFolder.open`."""
    return SourceMasks(path, read_video(path, stride=stride or 1) if is_video(path) else _photograph(path))


class SourceMasks:
    """The masks of one source, read in its frames' order."""

    def __init__(self, path: Path, frames: Iterator[Frame]) -> None:
        self._path, self._frames = path, frames
        self._index, self._mask = -1, np.zeros((0, 0), np.uint8)

    def cut(self, frame: Frame, box: NDArray[np.float32], square: Square) -> Mask | str:
        """The mask of a face, cut as its crop is.

        Args:
            frame: Of the source; never one before that of an earlier call.
            box: (4,) xyxy of the face, in pixels of the frame.
            square: Of its crop.

        Returns:
            The mask (317, 317), or the reason why the face is no fake to learn from.

        Raises:
            MediaError: The mask is missing, unreadable, or of another shape than the frame.
        """
        mask = self.of(frame)
        x0, y0, x1, y1 = (max(0, round(float(value))) for value in box)
        within = mask[y0 : y1 + 1, x0 : x1 + 1]
        if np.count_nonzero(within > 127) <= MIN_COVER * within.size:
            return LEFT_OUT
        cut = cut_crop(mask, square)
        return COVERED if cut.min() > 127 else cut

    def of(self, frame: Frame) -> Mask:
        """The mask of a frame, in its size.

        Args:
            frame: Of the source; never one before that of an earlier call.

        Raises:
            MediaError: The mask is missing, unreadable, or of another shape than the frame.
        """
        if self._index < frame.index:
            self._mask = _fit(binarise(self._read(frame.index)), frame, self._path)
        return self._mask

    def _read(self, index: int) -> NDArray[np.uint8]:
        try:
            for found in self._frames:
                if found.index == index:
                    self._index = index
                    return found.image
        except MediaError as error:
            raise MediaError(f"mask unreadable: {error}") from error
        raise MediaError(f"mask too short: {self._path} has no frame {index}")


def binarise(picture: NDArray[np.uint8]) -> Mask:
    """The mask (H, W) of its picture (H, W, 3): 255 where any channel is above a half, 0 elsewhere.

    Compression moves grey levels, but not across the middle; colours are as good as white.
    """
    return np.asarray(cv2.bitwise_not(cv2.inRange(picture, (0, 0, 0), (127, 127, 127))), np.uint8)


def _photograph(path: Path) -> Iterator[Frame]:
    yield Frame(read_image(path), 0, 0.0)


def _fit(mask: Mask, frame: Frame, path: Path) -> Mask:
    """A mask in its frame's size, where both are of one shape to within a pixel.

    Shrinking averages areas, enlarging is linear: M is resized, never the X-ray.

    Raises:
        MediaError: They are not.
    """
    (h, w), (height, width) = mask.shape, frame.image.shape[:2]
    if (h, w) == (height, width):
        return mask
    if abs(h * width - w * height) > max(h, w, height, width):
        raise MediaError(f"mask of another shape: {path} is {h} × {w}, the fake {height} × {width}")
    how = cv2.INTER_AREA if h > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, (width, height), interpolation=how), np.uint8)
