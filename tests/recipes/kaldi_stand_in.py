"""Stands in for Kaldi's scripts: checks what it is called with, as they do, and leaves files of the same names.

Called by the scripts of a made-up Kaldi with their own name and arguments.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
JOBS = ("--nj", "--cmd")
FLAGS = ("--first", "--shortest")  # without a value
TRAINING = ("--cmd", "--boost-silence")
# Script → its options, how many arguments follow them, and which of those are data, lang, model, alignment or output.
SCRIPTS = {
    "make_mfcc.sh": (JOBS, ["data"]),
    "compute_cmvn_stats.sh": ((), ["data"]),
    "prepare_lang.sh": ((), ["dict", "word", "tmp", "out"]),
    "wsj_prepare_dict.sh": (("--dict-suffix",), []),
    "subset_data_dir.sh": (FLAGS, ["data", "number", "out"]),
    "train_mono.sh": ((*JOBS, "--boost-silence"), ["data", "lang", "out"]),
    "align_si.sh": ((*JOBS, "--boost-silence"), ["data", "lang", "model", "out"]),
    "train_deltas.sh": (TRAINING, ["number", "number", "data", "lang", "ali", "out"]),
    "train_lda_mllt.sh": ((*TRAINING, "--splice-opts"), ["number", "number", "data", "lang", "ali", "out"]),
    "train_sat.sh": (TRAINING, ["number", "number", "data", "lang", "ali", "out"]),
    "align_fmllr.sh": (JOBS, ["data", "lang", "model", "out"]),
}


def demand(condition, what):
    """What Kaldi's scripts do where something isn't there."""
    if not condition:
        sys.exit(f"{sys.argv[1]}: {what}")


def utterances(data):
    """The ids of a data directory."""
    return [line.split()[0] for line in (data / "utt2spk").read_text().splitlines()]


def main(name, words):
    """Check, and leave what the script would."""
    demand(Path("path.sh").is_file() and "KALDI_ROOT" in os.environ, "not in a recipe's folder")
    with Path("calls").open("a") as log:
        log.write(f"{Path(name).parent.name}/{Path(name).name} {' '.join(words)}\n")
    name = Path(name).name
    known, kinds = SCRIPTS[name]
    options = {}
    while words and words[0].startswith("--"):
        demand(words[0] in known, f"invalid option {words[0]}")
        if words[0] in FLAGS:
            words = words[1:]
        else:
            options[words[0]], words = words[1], words[2:]
    demand(len(words) == len(kinds), f"expected {len(kinds)} arguments, found {words}")
    given = {kind: Path(word) for kind, word in zip(kinds, words, strict=True)}
    data, out = given.get("data"), given.get("out")
    if data:
        demand((data / "utt2spk").is_file() and (data / "spk2utt").is_file(), f"no data in {data}")
        if name == "make_mfcc.sh":
            demand(Path("conf/mfcc.conf").is_file(), "no conf/mfcc.conf")
        else:
            demand((data / "feats.scp").is_file(), f"no features in {data}")
        speakers = len((data / "spk2utt").read_text().splitlines())
        demand(int(options.get("--nj", 1)) <= speakers, f"you can't split {speakers} speakers into {options}")
    if "lang" in given:
        demand((given["lang"] / "L.fst").is_file(), f"no {given['lang']}/L.fst")
        demand((data / "cmvn.scp").is_file(), f"no cmvn.scp in {data}")
    if "model" in given:
        demand((given["model"] / "final.mdl").is_file(), f"no model in {given['model']}")
    if "ali" in given:
        demand((given["ali"] / "ali.1.gz").is_file(), f"no alignments in {given['ali']}")
        covered = set((given["ali"] / "utterances").read_text().split())
        demand(covered == set(utterances(data)), f"{given['ali']} is of other utterances than {data}")
    if name == "make_mfcc.sh":
        (data / "feats.scp").write_text("".join(f"{utterance} mfcc.ark:1\n" for utterance in utterances(data)))
    elif name == "compute_cmvn_stats.sh":
        (data / "cmvn.scp").touch()
    elif name == "wsj_prepare_dict.sh":
        folder = Path("data/local/dict" + options["--dict-suffix"])
        folder.mkdir(parents=True)
        for file in ("lexicon.txt", "silence_phones.txt", "nonsilence_phones.txt", "optional_silence.txt"):
            (folder / file).write_text("!SIL SIL\n")
    elif name == "prepare_lang.sh":
        for file in ("lexicon.txt", "silence_phones.txt", "nonsilence_phones.txt", "optional_silence.txt"):
            demand((given["dict"] / file).is_file(), f"no {given['dict'] / file}")
        out.mkdir(parents=True)
        for file in ("L.fst", "phones.txt", "words.txt", "oov.int"):
            (out / file).touch()
    elif name == "subset_data_dir.sh":
        out.mkdir(parents=True)
        kept = utterances(data)[: int(words[1])]
        for file in ("utt2spk", "text", "feats.scp"):
            lines = (data / file).read_text().splitlines(keepends=True)
            (out / file).write_text("".join(line for line in lines if line.split()[0] in kept))
        shutil.copy(data / "cmvn.scp", out)
        speakers = [line.split() for line in (data / "spk2utt").read_text().splitlines()]
        kept_by = {speaker: [utterance for utterance in ids if utterance in kept] for speaker, *ids in speakers}
        (out / "spk2utt").write_text("".join(f"{key} {' '.join(ids)}\n" for key, ids in kept_by.items() if ids))
    else:
        spec = importlib.util.spec_from_file_location("tiny_model", TESTS / "kaldi/tiny_model.py")
        tiny_model = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tiny_model)
        shutil.rmtree(out, ignore_errors=True)
        tiny_model.write_ali_dir(out, [dict.fromkeys(utterances(data), "SIL_SKIP AH_NEXT AH_END T_NEXT T_END")])
        (out / "utterances").write_text("\n".join(utterances(data)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
