"""The renderer on tensors against the one in NumPy, and its filters against OpenCV's: what they know is the oracle."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from facexray.blending.align import ALIGNMENTS
from facexray.blending.config import BlendConfig, Chance
from facexray.blending.degrade import DEGRADATIONS, KERNELS, Degradation
from facexray.blending.degrade import degrade as degrade_one
from facexray.blending.generate import draw_sample, render
from facexray.blending.recipe import Jitter
from facexray.errors import BlendError
from facexray.faces.neighbours import FacePool
from facexray.faces.prepare import prepare
from facexray.faces.store import FaceStore
from facexray.training.datasets import BlendedPairs, collate
from facexray.training.renderer import BatchRenderer, plan, supports
from facexray.training.tensors.align import MODES
from facexray.training.tensors.blend import BLENDS
from facexray.training.tensors.colour import COLOURS
from facexray.training.tensors.filters import blur, resize

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
ON_EACH_DEVICE = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_CUDA])])
CLEAN = BlendConfig(real_prob=0, degradations={})
CHANCES = {
    "blur": Chance(1, 0.3, 4),
    "denoise": Chance(1, 2, 15),
    "sharpen": Chance(1, 0, 1.5),
    "resample": Chance(1, 0.25, 1),
    "gaussian_noise": Chance(1, 2, 8),
    "poisson_noise": Chance(1, 100, 5000),
    "brightness": Chance(1, -40, 40),
    "contrast": Chance(1, 0.7, 1.4),
    "hue": Chance(1, -20, 20),
    "saturation": Chance(1, 0.3, 1.7),
    "webp": Chance(1, 30, 95),
    "h264": Chance(1, 15, 36),
    "jpeg": Chance(1, 40, 95),
    "blocks": Chance(1, 5, 60),
}
AMPLIFIERS = {"poisson_noise", "webp", "h264"}
"""Where one pixel's one level changes much of the rest: by the next dice, or by what is predicted from it."""
METHODS = {
    "align": ALIGNMENTS,
    "interpolation": MODES,
    "colour": COLOURS,
    "blend": BLENDS,
}


def recipes_of(store, config, count):
    """As many recipes that make samples."""
    pool = FacePool.of(store, None)
    return [draw_sample(config, pool, store, 7, 0, i).recipe for i in range(count)]


def renderer(device="cpu"):
    return BatchRenderer(torch.device(device))


def assert_alike(recipes, store, device="cpu"):
    """The X-rays are NumPy's; its images are within 2 grey levels on 99.9 % of the values.

    Only images that an amplifier worked on are compared by the means of blocks of 8 × 8 pixels: what differs there is
    as large as the noise, or as what the codec lost, but has no mean of its own.
    """
    near, near_blocks = [], []
    for start in range(0, len(recipes), 8):
        some = recipes[start : start + 8]
        batch, samples = renderer(device)(plan(some, store)), [render(recipe, store) for recipe in some]
        assert batch.labels.tolist() == [sample.label for sample in samples]
        np.testing.assert_allclose(batch.xrays.cpu(), np.stack([sample.xray for sample in samples]), atol=1e-6)
        images = batch.levels.permute(0, 2, 3, 1).cpu().numpy().astype(int)
        for image, sample in zip(images, samples, strict=True):
            off = image - sample.image
            if AMPLIFIERS & {step.kind for step in (*sample.recipe.source.steps, *sample.recipe.degradations)}:
                near_blocks.append(np.abs(off.reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))) <= 4)
            else:
                near.append(np.abs(off) <= 2)
    assert not near or np.mean(near) >= 0.999
    assert not near_blocks or np.mean(near_blocks) >= 0.99


@ON_EACH_DEVICE
@pytest.mark.parametrize("preset", ["default", "paper", "generator", "sbi"])
def test_a_presets_recipes_come_out_as_numpys(store, preset, device):
    fakes = recipes_of(store, replace(BlendConfig.preset(preset), real_prob=0), 40)
    assert all(map(supports, fakes))
    assert_alike([*fakes, *(recipe.as_real() for recipe in fakes[:8])], store, device)


@pytest.mark.slow
def test_recipes_of_real_faces_come_out_as_numpys(faces_dir, tmp_path):
    prepare([faces_dir / "london"], tmp_path / "store")
    store = FaceStore(tmp_path / "store")
    for preset in ("default", "paper", "generator", "sbi"):
        assert_alike(recipes_of(store, replace(BlendConfig.preset(preset), real_prob=0), 200), store)


@ON_EACH_DEVICE
@pytest.mark.parametrize(("name", "method"), [(name, method) for name, known in METHODS.items() for method in known])
def test_a_methods_recipes_come_out_as_numpys(store, name, method, device):
    assert_alike(recipes_of(store, replace(CLEAN, mode="bi", **{name: method}), 4), store, device)


class Changed:
    """A store's faces with other crops, or with other landmarks."""

    def __init__(self, store, change_crop=None, move=(0, 0)):
        self.index_of, self.landmarks = store.index_of, store.landmarks + np.float32(move)
        self._store, self._change = store, change_crop

    def crop(self, index):
        crop = self._store.crop(index)
        return self._change(index, crop) if self._change else crop


@pytest.mark.parametrize("colour", COLOURS)
def test_a_grey_face_takes_no_noise_for_colour(store, colour):
    """What hardly varies, as the chroma of a grey face, is shifted and not scaled."""
    people = store.column("identity")

    def grey_hopper(index, crop):
        return np.repeat(crop[..., 1:2], 3, axis=2) if people[index] == "hopper" else crop

    recipes = recipes_of(store, replace(CLEAN, mode="bi", colour=colour), 5)
    assert len({people[store.index_of[recipe.background]] for recipe in recipes}) == 2
    assert_alike(recipes, Changed(store, grey_hopper))


@pytest.mark.parametrize("blend", BLENDS)
def test_self_blended_recipes_come_out_as_numpys(store, blend):
    assert_alike(recipes_of(store, replace(CLEAN, mode="sbi", blend=blend), 6), store)


@pytest.mark.parametrize("blend", BLENDS)
def test_a_face_at_the_crops_border(store, blend):
    """Mask and foreground end where nothing is; beyond the border, grids and pixels go on as they are there."""
    fake = replace(recipes_of(store, CLEAN, 1)[0], hull="whole", blend=blend)
    for move, corner in (((-70, -60), (0, 0)), ((60, 80), (117, 117))):
        base = replace(fake, window=(*corner, 200))
        turned = replace(base, grow_px=4.0, jitter=Jitter(0.8, 5.0, (30.0, 20.0)))
        assert_alike([turned, replace(base, grow_px=-8.0, soften_px=6.0)], Changed(store, move=move))


@ON_EACH_DEVICE
@pytest.mark.parametrize("kind", CHANCES)
def test_a_degradations_recipes_come_out_as_numpys(store, kind, device):
    fakes = recipes_of(store, replace(CLEAN, degradations={kind: CHANCES[kind]}), 3)
    assert_alike([*fakes, *(recipe.as_real() for recipe in fakes)], store, device)


@ON_EACH_DEVICE
@pytest.mark.parametrize(
    "kind", sorted(CHANCES.keys() - {"blur", "sharpen", "resample", "brightness", "contrast", "hue"})
)
def test_what_runs_on_the_host_is_numpys_to_the_byte(store, kind, device):
    """On the image that the device has; where the window is the view, this can be seen."""
    fake = replace(recipes_of(store, CLEAN, 1)[0], window=(30, 30, 256), flip=False)
    how = {"jpeg": "420"}.get(kind, "")
    amount = CHANCES[kind].low + 0.75 * (CHANCES[kind].high - CHANCES[kind].low)
    step = Degradation(kind, round(amount) if DEGRADATIONS[kind].whole else amount, how, seed=11)
    untouched, degraded = renderer(device)(plan([fake, replace(fake, degradations=(step,))], store)).levels.cpu()
    expected = degrade_one(untouched.permute(1, 2, 0).contiguous().numpy(), (step,))
    np.testing.assert_array_equal(degraded.permute(1, 2, 0), expected)
    assert (degraded != untouched).any()


@ON_EACH_DEVICE
def test_what_a_resampling_left_small_comes_out_as_numpys(store, device):
    config = replace(
        CLEAN,
        resample_kernels={"area-later": 1.0, "linear-later": 1.0, "area-cubic": 1.0},
        degradations={kind: CHANCES[kind] for kind in ("blur", "resample", "gaussian_noise", "jpeg")},
    )
    fakes = recipes_of(store, config, 5)
    assert {recipe.degradations[1].how.endswith("later") for recipe in fakes} == {True, False}
    assert_alike([*fakes, *(recipe.as_real() for recipe in fakes)], store, device)


def test_real_recipes_come_out_to_the_byte(store):
    """Where no kernel sums in floats: those of `cubic` and `area` OpenCV adds up in its own order."""
    kernels = {"nearest-linear": 1.0, "linear-linear": 1.0}
    reals = recipes_of(store, BlendConfig.preset("default", real_prob=1, resample_kernels=kernels), 12)
    for levels, recipe in zip(renderer()(plan(reals, store)).levels, reals, strict=True):
        np.testing.assert_array_equal(levels.permute(1, 2, 0), render(recipe, store).image)


def test_steps_are_applied_in_their_own_order(store):
    blurred, packed = Degradation("blur", 2.0), Degradation("jpeg", 30, "420")
    grainy, darker = Degradation("gaussian_noise", 6, seed=4), Degradation("brightness", -60)
    base = recipes_of(store, replace(CLEAN, real_prob=1), 1)[0]
    orders = [(packed, blurred), (blurred, packed), (packed, darker, packed), (), (grainy, blurred, grainy)]
    assert_alike([replace(base, degradations=order) for order in orders], store)


def test_the_authors_leak_is_reproduced(store):
    assert_alike(recipes_of(store, replace(CLEAN, reproduce_resampling_leak=True), 4), store)


def test_mirrored_and_upside_down(store):
    base = recipes_of(store, CLEAN, 1)[0]
    assert_alike([replace(base, flip=x, flip_vertical=y) for x in (False, True) for y in (False, True)], store)


def test_samples_do_not_depend_on_their_batch(store):
    fakes = recipes_of(store, CLEAN, 5)
    recipes = [fakes[0].as_real(), *fakes]
    together = renderer()(plan(recipes, store))
    for row, recipe in enumerate(recipes):
        alone = renderer()(plan([recipe], store))
        # Products of another size sum in another order: now and then a half is rounded to the other side.
        assert (together.levels[row] == alone.levels[0]).float().mean() > 0.9999
        assert (together.mask_levels[row] == alone.mask_levels[0]).all()


def test_a_batch_is_what_the_loop_takes(store):
    """The same pairs, by the loader's own way."""
    pairs = BlendedPairs(BlendConfig(), store, None, seed=3)
    chosen = [pairs[i] for i in range(3)]
    expected = collate(chosen).batch
    views, xrays, labels = renderer()(plan([sample.recipe for pair in chosen for sample in pair], store)).batch
    for got, wanted in zip((views, xrays, labels), expected, strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert not views.requires_grad
    assert labels.tolist() == expected[2].tolist()
    assert ((views - expected[0]).abs() <= 2.01 / 255).float().mean() >= 0.999
    assert ((xrays - expected[1]).abs() <= 4 * 2 / 255).float().mean() >= 0.999
    assert not xrays[0].any()


def test_a_plan_travels_between_processes(store):
    planned = plan(recipes_of(store, CLEAN, 2), store)
    there = pickle.loads(pickle.dumps(planned))
    assert torch.equal(renderer()(there).levels, renderer()(planned).levels)


def test_lower_precision_around_it_does_not_reach_it(store):
    planned = plan(recipes_of(store, CLEAN, 2), store)
    with torch.autocast("cpu", torch.bfloat16):
        within = renderer()(planned)
    assert torch.equal(within.levels, renderer()(planned).levels)


def test_each_crop_is_read_once(store):
    fakes = recipes_of(store, replace(CLEAN, mode="sbi"), 3)
    planned = plan([recipe for fake in fakes for recipe in (fake.as_real(), fake)], store)
    assert len(planned.crops) == len({recipe.background for recipe in fakes})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"blend": "poisson"}, "blend poisson"),
        ({"interpolation": "lanczos"}, "interpolation lanczos"),
        ({"mode": "given"}, "mode given"),
    ],
)
def test_what_it_cannot_do_is_named(store, change, named):
    known = recipes_of(store, CLEAN, 1)[0]
    recipe = replace(known, **change)
    assert supports(known)
    assert not supports(recipe)
    with pytest.raises(BlendError, match=f"recipe 1: {named} cannot be rendered on tensors"):
        plan([known, recipe], store)


def test_unusable_masks_are_refused_as_by_numpy(store):
    fake = recipes_of(store, CLEAN, 1)[0]
    empty = replace(fake, hull="mouth", grow_px=-80.0)
    with pytest.raises(BlendError) as expected:
        render(empty, store)
    with pytest.raises(BlendError, match="nothing to blend") as caught:
        plan([fake.as_real(), empty, fake], store)
    assert str(caught.value) == str(expected.value)


@pytest.fixture
def part():
    """A batch of one noisy canvas, the image that is a part of it (57, 41, 3), and where that stands."""
    canvas = np.random.default_rng(1).integers(0, 256, (80, 80, 3), np.uint8)
    spans = torch.tensor([[[12, 57], [3, 41]]])
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float(), np.ascontiguousarray(canvas[12:69, 3:44]), spans


@pytest.mark.parametrize("kernel", KERNELS)
def test_resizing_a_part_is_opencvs(part, kernel):
    images, image, spans = part
    got = resize(images, kernel, spans, torch.tensor([[[0, 20], [5, 33]]]), 40)
    wanted = cv2.resize(image, (33, 20), interpolation=KERNELS[kernel])
    assert np.abs(got[0, :, :20, 5:38].permute(1, 2, 0).numpy() - wanted).max() <= 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_resizing_is_opencvs_at_every_size(kernel):
    """Down as a degradation goes, and up again; each in one batch of images that differ in size."""
    rng = np.random.default_rng(5)
    large = rng.integers(3, 120, 60)
    small = np.maximum(1, np.rint(large * rng.uniform(0.05, 1, 60))).astype(int)
    large[:3], small[:3] = (36, 58, 75), (28, 14, 66)  # where `area` divides by what float64 holds and float32 does not
    for source, target, name in ((large, small, kernel), (small, large, "area_up" if kernel == "area" else kernel)):
        canvas = rng.integers(0, 256, (60, 1, 120, 120), np.uint8)
        spans, written = (torch.tensor([[[0, side]] * 2 for side in sides]) for sides in (source, target))
        resized = resize(torch.from_numpy(canvas).float(), name, spans, written, 120).numpy()
        for image, got, side, wanted_side in zip(canvas, resized, source, target, strict=True):
            image = np.ascontiguousarray(image[0, :side, :side])
            wanted = cv2.resize(image, (int(wanted_side), int(wanted_side)), interpolation=KERNELS[kernel])
            assert np.abs(got[0, :wanted_side, :wanted_side] - wanted).max() <= 1


@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.5, 4.0, 20.0])
def test_blurring_is_opencvs(part, sigma):
    images, image, spans = part
    got = blur(images, spans, [sigma])[0, :, 12:69, 3:44].permute(1, 2, 0).numpy()
    wanted = degrade_one(image, (Degradation("blur", sigma),))
    assert (got != wanted).mean() < 0.001
    assert np.abs(got - wanted).max() <= 1
