"""A module's extra state as one tensor that can tell whether it is whole."""

import json
import math
import struct
import zlib

import torch

MAGIC = b"vqbn"
# 2: a length that a bottleneck's arguments alone determine. 1: a length that grew, and clusterings among the values.
VERSION = 2
# magic, version, length of the JSON part, length of everything after the head, CRC-32 of the same.
_HEAD = struct.Struct("<4sHQQI")
# Room for the JSON part: numbers and names; what can grow is in the tensors.
_TEXT = 2048
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "uint8": torch.uint8}


def pack(values: dict, tensors: dict[str, torch.Tensor], length: int = 0) -> torch.Tensor:
    """Put values and tensors into one tensor.

    Args:
        values: what JSON can hold.
        tensors: float32, float64, int64 or uint8, of any shape and device.
        length: fill up with zeros to so many bytes beside the head; `largest_length` says how many are enough.

    Returns:
        uint8 (bytes,), on the CPU.
    """
    names = {dtype: name for name, dtype in _DTYPES.items()}
    layout = [[name, names[tensor.dtype], list(tensor.shape)] for name, tensor in tensors.items()]
    text = json.dumps({"values": values, "tensors": layout}).encode()
    body = b"".join(
        [text, *(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes() for tensor in tensors.values())]
    ).ljust(length, b"\0")
    head = _HEAD.pack(MAGIC, VERSION, len(text), len(body), zlib.crc32(body))
    return torch.frombuffer(bytearray(head + body), dtype=torch.uint8)


def largest_length(shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]]) -> int:
    """Bytes that hold what `pack` makes of tensors of at most these types and shapes, with a handful of numbers."""
    return _TEXT + sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())


def unpack(packed: torch.Tensor) -> tuple[dict, dict[str, torch.Tensor]]:
    """Take apart what `pack` made.

    Returns:
        The values and the tensors, these on the CPU.

    Raises:
        RuntimeError: `packed` isn't such a tensor, or it was changed since.
    """
    if not isinstance(packed, torch.Tensor) or packed.dtype != torch.uint8 or packed.dim() != 1:
        what = f"{packed.dtype} {tuple(packed.shape)}" if isinstance(packed, torch.Tensor) else type(packed).__name__
        raise _refused(f"it should be a one-dimensional uint8 tensor, but is {what}")
    data = packed.detach().cpu().numpy().tobytes()
    if len(data) < _HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise _refused("it doesn't begin as one should")
    _, version, text_length, length, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if len(body) != length or zlib.crc32(body) != checksum:
        raise _refused("its checksum is wrong: it was cut, averaged, or damaged")
    if version > VERSION:
        raise RuntimeError(
            f"the extra state of a VQBottleneck has the format {version}, and this version of vqbn reads formats up to "
            f"{VERSION}: it was written by a newer one; update vqbn"
        )
    content = json.loads(bytes(body[:text_length]))
    tensors, position = {}, text_length
    for name, dtype, shape in content["tensors"]:
        size = math.prod(shape) * _DTYPES[dtype].itemsize
        # A copy, since the bytes can't be written to.
        raw = bytearray(body[position : position + size])
        tensors[name] = (
            torch.frombuffer(raw, dtype=_DTYPES[dtype]) if raw else torch.empty(0, dtype=_DTYPES[dtype])
        ).view(shape)
        position += size
    return content["values"], tensors


def _refused(reason: str) -> RuntimeError:
    return RuntimeError(
        f"the extra state of a VQBottleneck can't be used: {reason}. Load the state of an unharmed checkpoint; "
        "when averaging checkpoints, take this entry from the last of them."
    )
