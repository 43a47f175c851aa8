"""Writers of NIST SPHERE files: PCM, µ-law, and both compressed with shorten (Robinson, 1994, CUED/F-INFENG/TR.156)."""

import numpy as np

BLOCK = 256
SIGNED_BIG_ENDIAN, SIGNED_LITTLE_ENDIAN, MU_LAW = 3, 5, 8
QUIT, BLOCKSIZE, ZERO = 4, 5, 8


def sphere(samples: np.ndarray, coding: str = "pcm", rate: int = 16000, count: int | None = None, **fields) -> bytes:
    """A SPHERE file.

    Args:
        samples: int16 (samples,) or (samples, channels); for µ-law the bytes, uint8.
        coding: pcm (high byte first), pcm-low, ulaw, or shorten (of either, by the samples' type).
        rate: in Hz.
        count: the number of samples that the header gives, if it is to lie.
        fields: further header fields, which replace those of the same name.
    """
    samples = samples[:, None] if samples.ndim == 1 else samples
    width = samples.dtype.itemsize
    header = {
        "sample_count": len(samples) if count is None else count,
        "sample_rate": rate,
        "channel_count": samples.shape[1],
        "sample_n_bytes": width,
        "sample_byte_format": {1: "1", 2: "01" if coding == "pcm-low" else "10"}[width],
        "sample_coding": {"pcm-low": "pcm", "shorten": f"{'ulaw' if width == 1 else 'pcm'},embedded-shorten-v2.00"}.get(
            coding, coding
        ),
    } | fields
    if coding == "shorten":
        data = shorten(samples)
    else:
        data = samples.astype({1: "u1", 2: "<i2" if coding == "pcm-low" else ">i2"}[width]).tobytes()
    return sphere_header(header) + data


def sphere_header(fields: dict) -> bytes:
    """The 1,024 bytes before the audio."""
    lines = ["NIST_1A", "   1024"]
    for name, value in fields.items():
        kind = "-i" if isinstance(value, int) else f"-s{len(value)}"
        lines.append(f"{name} {kind} {value}")
    return ("\n".join([*lines, "end_head"]) + "\n").encode().ljust(1024)


def shorten(samples: np.ndarray) -> bytes:
    """Compress (samples, channels) without loss: blocks of 256, each with the best of four differences, or silent."""
    if samples.dtype == np.uint8:
        kind, values = MU_LAW, np.where(samples >= 128, 255 - samples.astype(int), samples.astype(int) - 128)
    else:
        kind, values = SIGNED_BIG_ENDIAN, samples.astype(int)
    bits = Bits()
    for number in (kind, values.shape[1], BLOCK, 0, 0, 0):
        bits.long(number)
    history = np.vstack([np.zeros((3, values.shape[1]), int), values])
    size = BLOCK
    for start in range(0, len(values), BLOCK):
        block = min(BLOCK, len(values) - start)
        if block != size:
            bits.unsigned(BLOCKSIZE, 2)
            bits.long(block)
            size = block
        for channel in range(values.shape[1]):
            past = history[start : start + 3 + block, channel]
            residuals = [past[3:], np.diff(past[2:]), np.diff(past[1:], 2), np.diff(past, 3)]
            if not residuals[0].any():
                bits.unsigned(ZERO, 2)
                continue
            order = min(range(4), key=lambda order: np.abs(residuals[order]).sum())
            width = max(1, int(np.abs(residuals[order]).mean() + 1).bit_length())
            bits.unsigned(order, 2)
            bits.unsigned(width - 1, 3)
            for value in residuals[order].tolist():
                bits.unsigned(2 * value if value >= 0 else -2 * value - 1, width)
    bits.unsigned(QUIT, 2)
    return b"ajkg\x02" + bits.bytes()


class Bits:
    """A bit stream, highest bit first."""

    def __init__(self):
        self.parts: list[str] = []

    def unsigned(self, value: int, low: int) -> None:
        """The high part in unary (noughts, then a one), then the `low` lowest bits."""
        self.parts.append("0" * (value >> low) + "1")
        if low:
            self.parts.append(f"{value & ((1 << low) - 1):0{low}b}")

    def long(self, value: int) -> None:
        """A number with its own width before it."""
        width = value.bit_length()
        self.unsigned(width, 2)
        self.unsigned(value, width)

    def bytes(self) -> bytes:
        """All bits, filled up with noughts."""
        text = "".join(self.parts)
        text += "0" * (-len(text) % 32)
        return int(text, 2).to_bytes(len(text) // 8, "big")
