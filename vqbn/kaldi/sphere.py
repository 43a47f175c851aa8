"""NIST SPHERE audio, as the discs of the Linguistic Data Consortium have it: PCM, µ-law, A-law, embedded shorten."""

import numpy as np

from vqbn.errors import InputError

MAGIC = b"NIST_1A"
# Files may be padded to whole blocks; more samples than this beyond the header's count are not padding.
PADDING = 1024  # samples


def read_sphere(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Decode a SPHERE file.

    Args:
        content: the whole file.
        name: what to call it in messages.

    Returns:
        int16 (samples, channels), and the sample rate in Hz.

    Raises:
        InputError: the header is malformed or disagrees with the audio, the coding is unknown, the file is cut short,
            or the package desphere is missing.
    """
    try:
        import desphere
    except ImportError as error:
        raise InputError(
            f"{name}: is a SPHERE file, which the package desphere reads: tools/setup.sh --extras wsj"
        ) from error
    try:
        header = desphere.SphereHeader.parse(content)
        data = content[header.header_size :]
        samples = _decode_shorten(header, data) if "shorten" in header.sample_coding else _decode_plain(header, data)
    except (desphere.DesphereError, ValueError) as error:
        raise InputError(
            f"{name}: a SPHERE file that is damaged, cut short or of an unknown coding: {error}"
        ) from error
    promised = header.sample_count
    if not promised <= len(samples) <= promised + PADDING:
        found = "cut short" if len(samples) < promised else "longer than its header says"
        raise InputError(f"{name}: {found}: {len(samples)} samples, the header says {promised}; copy it again")
    return samples[:promised], header.sample_rate


def _decode_plain(header, data: bytes) -> np.ndarray:
    """PCM, µ-law or A-law: as many whole samples as there are, int16 (samples, channels)."""
    from desphere.codecs import resolve_codec

    width = header.channel_count * header.sample_n_bytes
    bits, pcm = resolve_codec(header).decode(header, data[: len(data) // width * width])
    if bits != 16:
        raise ValueError(f"{bits} bits a sample; expected 16, or 8 in µ-law or A-law")
    return np.frombuffer(pcm, "<i2").reshape(-1, header.channel_count)


def _decode_shorten(header, data: bytes) -> np.ndarray:
    """Embedded shorten: all samples that the stream has, int16 (samples, channels)."""
    from desphere.codecs import resolve_codec

    resolve_codec(header)  # refuses other versions of shorten
    try:
        import desphere_native

        channels, _, pcm = desphere_native.shorten_to_pcm(data)
        samples = np.frombuffer(bytes(pcm), "<i2")
    except ImportError:
        from desphere import g711, shorten

        values, kind, channels = shorten.decode(data)
        if kind == "ulaw":
            samples = np.frombuffer(g711.expand(bytes(values), g711.ULAW_TABLE), "<i2")
        else:
            samples = np.clip(np.array(values, np.int64), -(2**15), 2**15 - 1).astype(np.int16)
    if channels != header.channel_count:
        raise ValueError(f"the shorten stream has {channels} channels, the header says {header.channel_count}")
    return samples.reshape(-1, channels)
