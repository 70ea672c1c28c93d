"""The command `bench detect`: how soon a verdict is there, cold and warm, on photographs and videos."""

from __future__ import annotations

import json as json_format
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from facexray.demonstration import portraits
from facexray.detection.detector import Detector
from facexray.errors import MissingExtraError, SettingsError
from facexray.images import RGB, read_image, write_image
from facexray.provenance import provenance
from facexray.runtime.engines import EngineName
from facexray.runtime.model import XrayModel
from facexray.workers import granted_cores

ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino", "torch")
PHOTOGRAPH_PX, PORTRAIT_PX = 512, 1024
"""Longer side of the warm photograph, and of the folder's portraits."""
VIDEO_SIZE, VIDEO_FPS, JUDGED_FPS = (720, 1280), 25, 5
"""(H, W) of the video, the frames that it has a second, and those that are judged."""
ROUNDS = 5
"""Cold starts, and times that facexray and the usual route take turns, so that a busy machine slows both."""
COLD = "import sys; from facexray.cli import main; sys.exit(main(['detect', '--json', *sys.argv[1:]]))"


def bench_detect(model: str = "default", photographs: int = 100, seconds: int = 20, json: bool = False) -> Any:
    """Measure how soon a verdict is there on this machine, beside the usual route.

    Cold: a new process from its start to the verdict on one photograph. Warm: a photograph of 512 pixels with one
    face, per engine that is installed, on one core. A folder of portraits of 1024 pixels, as JPEG, and a 720p H.264
    video with one face at 5 frames a second, by the engine that auto stands for, on all cores that this process is
    granted. Memory is the most that a process of its own ever held. The usual route, where the extra [train] is there:
    dlib's HOG box, HRNet-W48 with random weights, eager PyTorch, on one core in turns with facexray. All pictures are
    made from the two packaged portraits.

    Args:
        model: A model's file, or the name of one that ships.
        photographs: In the folder.
        seconds: Length of the video.
        json: Print one line of JSON instead of a table.

    Returns:
        The figures: `cold_s`, `engines` (`photograph_ms`, `resident_mb` each), `folder_s`, `folder_mb`,
        `video_times_real_time`, `video_mb`, `usual_ms`, `ratio_to_usual` (both None without [train]), `cores`, `load`
        (of the machine in the minute before), and how they were made.

    Raises:
        SettingsError: Nothing to measure.
        ModelError: No such model, or not one that facexray exported.
    """
    if photographs < 1 or seconds < 1:
        raise SettingsError(f"photographs and seconds must be at least 1, got {photographs} and {seconds}")
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    XrayModel.load(model)
    picture = _enlarged(read_image(portraits()[1]), PHOTOGRAPH_PX)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = folder / "photograph.png"
        write_image(photograph, picture)
        engines = [_alone(_photograph, model, engine, picture) for engine in ENGINES]
        beside = _alone(_beside_usual, model, picture)
        folder_s, folder_mb = _alone(_folder, model, _write_portraits(folder / "portraits", photographs))
        video_s, video_mb = _alone(_video, model, _write_video(folder / "video.mp4", seconds))
        figures = {
            "cold_s": _cold(model, photograph),
            "engines": dict(row for row in engines if row),
            "folder_s": round(folder_s, 2),
            "folder_mb": folder_mb,
            "video_times_real_time": round(seconds / video_s, 1),
            "video_mb": video_mb,
            "usual_ms": beside and round(beside[1], 1),
            "ratio_to_usual": beside and round(beside[1] / beside[0], 1),
            "cores": granted_cores(),
            "load": load,
            **provenance("bench detect", {"model": model, "photographs": photographs, "seconds": seconds}),
        }
    if json:
        print(json_format.dumps(figures))
    else:
        _print(figures)
    return figures


def _alone(task: Callable[..., Any], *arguments: Any) -> Any:
    """What a task gives in a process of its own, whose memory and cores are no other's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def _on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)


def _cold(model: str, photograph: Path) -> float:
    """Seconds from the start of a process to its verdict; a first start, which fills the disk's cache, is not counted.

    The process is one of a user's own: it computes with all cores that it is granted.
    """
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        command = [sys.executable, "-c", COLD, "--model", model, str(photograph)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        json_format.loads(done.stdout)["verdict"]
    return round(float(np.median(times[1:])), 2)


def _photograph(model: str, engine: EngineName, picture: RGB) -> tuple[str, dict[str, Any]] | None:
    """The engine and its figures on a photograph, on one core; None where it is not installed."""
    _on_one_core()
    try:
        loaded = XrayModel.load(model, engine)
    except MissingExtraError:
        return None
    detector = Detector(loaded)
    times = [_milliseconds(lambda: detector.image(picture)) for _ in range(40)][10:]
    return loaded.engine, {"photograph_ms": round(float(np.median(times)), 1), "resident_mb": _resident_mb()}


def _beside_usual(model: str, picture: RGB) -> tuple[float, float] | None:
    """Milliseconds a photograph takes facexray and the usual route, on one core; None where torch is not installed."""
    _on_one_core()
    try:
        from facexray.training.usual_route import usual_route
    except ModuleNotFoundError:
        return None
    tasks = (Detector(model).image, usual_route())
    rounds = [[_milliseconds(lambda: task(picture)) for task in tasks] for _ in range(ROUNDS + 1)]  # noqa: B023
    ours, usual = np.median(rounds[1:], axis=0)
    return float(ours), float(usual)


def _folder(model: str, files: list[Path]) -> tuple[float, float | None]:
    """Seconds for a folder, and the memory."""
    detector = Detector(model)
    detector.image(read_image(files[0]))
    began = time.perf_counter()
    judged = sum(result.score is not None for result in detector.images(files))
    assert judged == len(files), f"a face was found in {judged} of {len(files)} portraits"
    return time.perf_counter() - began, _resident_mb()


def _video(model: str, path: Path) -> tuple[float, float | None]:
    """Seconds for a video, and the memory."""
    detector = Detector(model, fps=JUDGED_FPS)
    detector.image(_enlarged(read_image(portraits()[1]), PHOTOGRAPH_PX))
    began = time.perf_counter()
    assert detector.video(path).score is not None
    return time.perf_counter() - began, _resident_mb()


def _milliseconds(task: Callable[[], Any]) -> float:
    began = time.perf_counter()
    task()
    return (time.perf_counter() - began) * 1e3


def _resident_mb() -> float | None:
    """The most memory that this process ever held; None where the system does not say.

    Not by `getrusage`: there a new process begins with its parent's.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1000, 1) for line in lines if line.startswith("VmHWM:")), None)


def _enlarged(image: RGB, long_side: int) -> RGB:
    scale = long_side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def _write_portraits(folder: Path, count: int) -> list[Path]:
    """Both portraits in turn, each time cut a little closer, so that no two files are alike."""
    folder.mkdir()
    pictures = [read_image(path) for path in portraits()]
    files = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        closer = number // len(pictures) % 50
        files.append(folder / f"{number:03d}.jpg")
        write_image(files[-1], _enlarged(np.ascontiguousarray(picture[: picture.shape[0] - closer]), PORTRAIT_PX))
    return files


def _write_video(path: Path, seconds: int) -> Path:
    """A portrait that moves from one side of the picture to the other."""
    height, width = VIDEO_SIZE
    portrait = _enlarged(read_image(portraits()[1]), height)
    wide = cv2.copyMakeBorder(portrait, 0, 0, width, width, cv2.BORDER_REPLICATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=VIDEO_FPS, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(seconds * VIDEO_FPS):
            left = round(height * (1 - number / (seconds * VIDEO_FPS))) + width - height
            frame = np.ascontiguousarray(wide[:height, left : left + width], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path


def _print(figures: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{figures['cores']} cores granted, load before {figures['load']}")
    table = Table("measured", "", "memory")
    table.add_row("a new process to its first verdict", f"{figures['cold_s']:.2f} s", "")
    for engine, row in figures["engines"].items():
        name = f"a photograph of {PHOTOGRAPH_PX} px, warm, on one core ({engine})"
        table.add_row(name, f"{row['photograph_ms']:.1f} ms", _megabytes(row["resident_mb"]))
    settings = figures["settings"]
    name = f"a folder of {settings['photographs']} portraits of {PORTRAIT_PX} px"
    table.add_row(name, f"{figures['folder_s']:.2f} s", _megabytes(figures["folder_mb"]))
    name = f"a {VIDEO_SIZE[0]}p video at {JUDGED_FPS} frames a second"
    pace = f"{figures['video_times_real_time']:.1f} × faster than it plays"
    table.add_row(name, pace, _megabytes(figures["video_mb"]))
    if figures["usual_ms"] is not None:
        name = "the usual route (dlib HOG, HRNet-W48, eager PyTorch), a photograph, one core"
        table.add_row(name, f"{figures['usual_ms']:.0f} ms, {figures['ratio_to_usual']:.1f} × ours", "")
    console.print(table)


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} MB"
