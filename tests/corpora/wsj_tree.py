"""Made-up discs of WSJ0 and WSJ1: the indices, transcripts and lists of speakers of the real ones, with other audio."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

# Set → the disc that has its audio, the folder there, the disc of the transcripts, and the utterances' sessions.
SETS = {
    "train0": ("11_1_1", "wsj0/si_tr_s", "11_4_1", "wsj0/transcrp/dots/si_tr_s", ("01ic02", "01jc02")),
    "train1": ("13_1_1", "wsj1/si_tr_s", "13_34_1", "wsj1/trans/wsj1/si_tr_s", ("46ac02", "46bc02")),
    "dev93": ("13_16_1", "wsj1/si_dt_20", "13_34_1", "wsj1/trans/wsj1/si_dt_20", ("4k0c03", "4k1c03")),
    "eval92": ("11_14_1", "wsj0/si_et_20", "11_14_1", "wsj0/transcrp/dots/si_et_20", ("440c04", "441c04")),
    "eval93": ("13_33_1", "wsj1/si_et_h1/wsj64k", "13_32_1", "wsj1/trans/wsj1/si_et_h1", ("4oac02",)),
}
INDICES = {
    ("11_13_1", "wsj0/doc/indices/train/tr_s_wv1.ndx"): "train0",
    ("13_34_1", "wsj1/doc/indices/si_tr_s.ndx"): "train1",
    ("13_34_1", "wsj1/doc/indices/h1_p0.ndx"): "dev93",
    ("11_13_1", "wsj0/doc/indices/test/nvp/si_et_20.ndx"): "eval92",
    ("13_32_1", "wsj1/doc/indices/wsj1/eval/h1_p0.ndx"): "eval93",
}
TRANSCRIPT = "The \\\\. dog [door_slam] <ran> ,COMMA [<lip_smack] . off"
WORDS = "THE DOG <NOISE> RAN ,COMMA OFF"
CODINGS = ("shorten", "pcm", "shorten", "pcm-low")

Files = dict[tuple[str, str], bytes]


def utterances(name: str, count: int) -> list[str]:
    """The ids of a set's utterances, `count` per speaker."""
    return [f"{session}{number:02}" for session in SETS[name][4] for number in range(1, count + 1)]


def place(name: str, utterance: str) -> tuple[str, str]:
    """Disc and path of an utterance's audio."""
    disc, folder = SETS[name][:2]
    return disc, f"{folder}/{utterance[:3]}/{utterance}.wv1"


def files(sphere_files, audio: Mapping[str, np.ndarray] | None = None, count: int = 2) -> Files:
    """What is on the discs: (disc, path) → content.

    Args:
        sphere_files: the module that writes SPHERE files.
        audio: utterance → samples; half a second of noise for the others.
        count: utterances per speaker.
    """
    rng = np.random.default_rng(0)
    content: Files = {}
    for name, (_, _, transcript_disc, transcripts, sessions) in SETS.items():
        for number, utterance in enumerate(utterances(name, count)):
            samples = (audio or {}).get(utterance, rng.normal(0, 100, 8000).astype(np.int16))
            content[place(name, utterance)] = sphere_files.sphere(samples, CODINGS[number % len(CODINGS)])
        for session in sessions:
            lines = [f"{TRANSCRIPT} ({utterance})\n" for utterance in utterances(name, count) if session in utterance]
            content[transcript_disc, f"{transcripts}/{session[:3]}/{session}00.dot"] = "".join(lines).encode()
    for where, name in INDICES.items():
        content[where] = index(name, utterances(name, count))
    # A speaker whom Kaldi's recipe leaves out, without audio.
    content["11_13_1", "wsj0/doc/indices/train/tr_s_wv1.ndx"] += b"11_2_1:wsj0/si_tr_s/401/401c0201.wv1\n"
    content["11_13_1", "wsj0/doc/spkrinfo.txt"] = b"; ID sex\n440 F  32 Midland\n441 M  50 --\n"
    content["13_34_1", "wsj1/doc/dev_spok/spkrinfo.txt"] = b"; ID sex\n4K0 M 30\n4k1 f 31\n"
    content["13_32_1", "wsj1/doc/evl_spok/spkrinfo.txt"] = b"4oa F\n"
    content["13_34_1", "wsj1/doc/train/spkrinfo.txt"] = b"46a F\n46b m\n"
    return content


def index(name: str, ids: list[str]) -> bytes:
    """An index file of a set, with the oddities of the real ones."""
    lines = [f";; Index of {name}\n;;\n"]
    for utterance in ids:
        disc, path = place(name, utterance)
        if name == "eval92":
            path = path.removesuffix(".wv1")
        if name == "eval93":
            disc, path = "13_32_1", "/" + path
        lines.append(f"{disc}: {path}\n" if name == "dev93" else f"{disc}:{path}\n")
    return "".join(lines).encode()


def write(content: Files, root: Path, layout: str) -> tuple[Path, Path]:
    """Write the discs as a lab may have them.

    Args:
        content: from `files`.
        root: where to.
        layout: "discs" (`11-1.1/wsj0/...`; disc 13-16.1 in upper case, as some were), "boxes" (`d1/11_1_1/wsj0/...`),
            "upper" (discs in upper case), "merged" (`wsj0/...`), "bare" (the content of `wsj0` alone), or one of those
            two with "-upper".

    Returns:
        What is given as --wsj0 and --wsj1.
    """
    tops = {"wsj0": root / "LDC93S6B", "wsj1": root / "LDC94S13B"}
    for (disc, path), data in content.items():
        box, number, side = disc.split("_")
        tree, _, rest = path.partition("/")
        shape, _, case = layout.partition("-")
        if shape in ("merged", "bare"):
            inside = path if shape == "merged" else rest
            target = tops[tree] / (inside.upper() if case else inside)
        elif layout == "boxes":
            target = tops[tree] / f"csr_d{number}" / disc / path
        else:
            upper = layout == "upper" or disc == "13_16_1"
            target = tops[tree] / f"{box}-{number}.{side}" / (path.upper() if upper else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return tops["wsj0"], tops["wsj1"]
