"""The metadata of an ONNX file, read without loading its network: the same, and as soon, for every engine."""

from __future__ import annotations

from collections.abc import Iterator

from facexray.errors import ModelError

_METADATA, _KEY, _VALUE = 14, 1, 2
"""Numbers of ONNX's fields: `metadata_props` of ModelProto, `key` and `value` of StringStringEntryProto."""
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5
"""Protobuf's kinds of fields."""
_NO_PROTOBUF = "its content is no ONNX"


def read_metadata(data: bytes, name: str) -> dict[str, str]:
    """The metadata in the bytes of an ONNX file.

    Args:
        data: The bytes.
        name: What an error calls the file.

    Raises:
        ModelError: Not ONNX, or cut off.
    """
    try:
        if not data:
            raise ValueError("the file is empty")
        entries = [dict(_fields(field)) for number, field in _fields(memoryview(data)) if number == _METADATA]
        return {_text(entry, _KEY): _text(entry, _VALUE) for entry in entries}
    except ValueError as error:
        raise ModelError(
            f"{name}: not an ONNX model that can be loaded ({error}); make one with facexray export, or get it again"
        ) from error


def _text(entry: dict[int, memoryview], number: int) -> str:
    return bytes(entry.get(number, b"")).decode()


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protobuf message that have a size, each with its number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        if kind == _SIZED:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(_NO_PROTOBUF)
        if at + size > len(message):
            raise ValueError(f"it is cut off, {at + size - len(message)} bytes are missing at least")
        if kind == _SIZED:
            yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, seven bits a byte and the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(message):
            raise ValueError("it is cut off")
        value |= (message[at] & 127) << shift
        at += 1
        if message[at - 1] < 128:
            return value, at
    raise ValueError(_NO_PROTOBUF)
