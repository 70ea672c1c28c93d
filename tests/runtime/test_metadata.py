"""The metadata of ONNX files, against the library that writes them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from facexray.errors import ModelError
from facexray.runtime.metadata import read_metadata
from facexray.runtime.weights import SHA256, shipped_path


def onnx_file(**metadata):
    views, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("views", "score"))
    graph = helper.make_graph([helper.make_node("Add", ["views", "views"], ["score"])], "double", [views], [out])
    made = helper.make_model(graph, producer_name="a test", model_version=1 << 40)
    helper.set_model_props(made, metadata)
    return made.SerializeToString()


@pytest.mark.parametrize("name", sorted(SHA256))
def test_reads_what_onnx_reads(name):
    expected = {entry.key: entry.value for entry in onnx.load(shipped_path(name)).metadata_props}
    assert read_metadata(shipped_path(name).read_bytes(), name) == expected
    assert expected


@pytest.mark.parametrize("metadata", [{}, {"a": ""}, {"λ": "100 × 2", "long": "x" * 70_000, "facexray": "{}"}])
def test_reads_all_that_is_written(metadata):
    assert read_metadata(onnx_file(**metadata), "test") == metadata


def test_every_file_that_is_cut_off_is_refused_or_read_up_to_a_whole_field():
    """A cut between two fields leaves a sound file, which lacks what came after."""
    data = onnx_file(facexray="{}")
    outcomes = set()
    for length in range(1, len(data)):
        try:
            assert read_metadata(data[:length], "cut") == {}
            outcomes.add("read")
        except ModelError as error:
            assert "cut: not an ONNX model that can be loaded (it is cut off" in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_noise_raises_nothing_else():
    rng = np.random.default_rng(0)
    for length in rng.integers(1, 200, 2000):
        try:
            read_metadata(rng.bytes(int(length)), "noise")
        except ModelError as error:
            assert "noise: not an ONNX model" in str(error)
