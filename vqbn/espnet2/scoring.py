"""The error rates of an ESPnet decoding, counted by ESPnet and by us."""

from collections.abc import Mapping
from pathlib import Path

from espnet.nets.e2e_asr_common import ErrorCalculator
from espnet2.text.build_tokenizer import build_tokenizer

from vqbn.errors import InputError
from vqbn.kaldi.speaker_split import read_pairs
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.metrics.evaluation import Evaluation, evaluate_phones
from vqbn.tasks.recognition.text import RATES, evaluate_words
from vqbn.tasks.recognition.text_tokens import TextTokens
from vqbn.tasks.recognition.trn import write_trn

# What each rate counts, as ESPnet calls it.
ESPNET_CUTS = {"per": "phn", "wer": "word", "cer": "char"}


def read_hypotheses(folder: str | Path, token_type: str) -> dict[str, str]:
    """Utterance → what ESPnet's inference recognised, best first: phones or words, apart by spaces.

    Args:
        folder: `--output_dir` of the inference.
        token_type: what the model recognises. ESPnet joins phones without a space in its `text`, so their tokens are
            taken.

    Raises:
        InputError: it is not there.
    """
    path = Path(folder) / "1best_recog" / ("token" if token_type == "phn" else "text")
    if not path.is_file():
        raise InputError(f"{path}: no such file; decode the set first (vqbn-espnet-asr-inference)")
    return read_transcripts(path)


def espnet_rate(hypotheses: Mapping[str, str], references: Mapping[str, str], cut: str) -> float:
    """What ESPnet counts: edits over reference tokens, of all utterances together.

    Args:
        hypotheses: text of each utterance.
        references: of the same utterances.
        cut: ESPnet's name of the tokens that are counted: "phn", "word" or "char".
    """
    tokenizer = build_tokenizer(token_type=cut)
    calculator = ErrorCalculator([], "<space>", "<blank>", report_cer=True, report_wer=True)

    def tokens(text: str) -> str:
        return " ".join(tokenizer.text2tokens(text))

    return calculator.calculate_wer(
        [tokens(hypotheses[utterance]) for utterance in references], [tokens(text) for text in references.values()]
    )


def score(folder: str | Path, text: str | Path, token_type: str) -> tuple[dict[str, float], Evaluation]:
    """Score a decoding.

    Args:
        folder: `--output_dir` of the inference.
        text: the references; `utt2spk` beside it has the speakers.
        token_type: "phn", "char" or "bpe".

    Returns:
        `per`, or `wer` and `cer`, in percent as we count, and the same with `espnet_` in front as ESPnet counts; and
        all that our scorer found.

    Raises:
        InputError: a file is missing or malformed, or they are of different utterances.
        RuntimeError: the two counts differ.
    """
    hypotheses, references = read_hypotheses(folder, token_type), read_transcripts(text)
    phones = token_type == "phn"
    rates = ("per",) if phones else tuple(RATES)
    for name in rates:
        write_transcripts(Path(folder) / f"score_{name}", name, hypotheses, references)
    cut, evaluate = TextTokens("phn").cut, evaluate_phones if phones else evaluate_words
    evaluation = evaluate(
        {utterance: cut(line) for utterance, line in hypotheses.items()},
        {utterance: cut(line) for utterance, line in references.items()},
        read_pairs(Path(text).with_name("utt2spk")),
        source=str(folder),
    )
    ours = {name: evaluation.scores[name] for name in rates}
    theirs = {name: espnet_rate(hypotheses, references, ESPNET_CUTS[name]) for name in rates}
    check_equal(ours, theirs)
    return ours | {f"espnet_{name}": 100 * value for name, value in theirs.items()}, evaluation


def write_transcripts(folder: Path, rate: str, hypotheses: Mapping[str, str], references: Mapping[str, str]) -> None:
    """Write hyp.trn and ref.trn, from which sclite makes the tables that ESPnet's recipes show.

    Args:
        folder: where to.
        rate: "per", "wer" or "cer": how the texts are cut.
        hypotheses: text of each utterance.
        references: of the same utterances.
    """
    cut = RATES.get(rate, TextTokens("phn").cut)
    for name, texts in (("hyp", hypotheses), ("ref", references)):
        write_trn(folder / f"{name}.trn", {utterance: cut(text) for utterance, text in texts.items()})


def check_equal(ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    """Raise RuntimeError unless both counted the same; ours are percentages, theirs shares."""
    for name, value in ours.items():
        # Two ways to round the same quotient.
        if abs(value - 100 * theirs[name]) > 1e-12 * value:
            raise RuntimeError(f"{name}: {value} % by us and {100 * theirs[name]} % by ESPnet")
