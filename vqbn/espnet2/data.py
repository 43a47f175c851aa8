"""Data folders as ESPnet reads them, from what stage 2 of the recipes leaves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.files import replacing, write_text
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import BLANK, Tokens
from vqbn.tasks.recognition.data import ChunkBatches

# What ESPnet needs besides the blank: a token for what is not in the list, and one for a text's beginning and end.
UNKNOWN = "<unk>"
BOUNDARY = "<sos/eos>"


def write_token_list(path: str | Path, tokens: Tokens) -> None:
    """Write a token list of ESPnet's, one symbol a line: the blank, `<unk>`, our symbols, `<sos/eos>`."""
    symbols = [BLANK, UNKNOWN, *(symbol for symbol in tokens.symbols[1:] if symbol != UNKNOWN), BOUNDARY]
    write_text(path, "".join(f"{symbol}\n" for symbol in symbols))


def phone_transcripts(dataset: SpeechDataset) -> dict[str, str]:
    """Utterance → the phones of its alignment, silence included and gaps left out, apart by spaces."""
    return {utt: " ".join(dataset.tokens.names(dataset.targets(utt))) for utt in dataset.utterances}


def write_data(
    folder: str | Path, features: Mapping[str, str], text: Mapping[str, str], speakers: Mapping[str, str]
) -> None:
    """Write a folder with feats.scp, text, utt2spk and spk2utt, whole or not at all.

    Args:
        folder: to be made; an older one is replaced.
        features: utterance → entry of the archive.
        text: utterance → what it says.
        speakers: utterance → speaker.
    """
    of_speaker: dict[str, list[str]] = defaultdict(list)
    for utterance in features:
        of_speaker[speakers[utterance]].append(utterance)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, table in (
            ("feats.scp", features),
            ("text", {utterance: text[utterance] for utterance in features}),
            ("utt2spk", {utterance: speakers[utterance] for utterance in features}),
            ("spk2utt", {speaker: " ".join(of_speaker[speaker]) for speaker in sorted(of_speaker)}),
        ):
            write_text(temporary / name, "".join(f"{key} {value}\n" for key, value in table.items()))


def write_set(folder: str | Path, dataset: SpeechDataset, text: Mapping[str, str]) -> None:
    """Write a set of whole utterances."""
    entries = read_scp(dataset.folder / "feats.scp").entries
    write_data(
        folder,
        {utt: entries[utt] for utt in dataset.utterances},
        text,
        {utt: dataset.speaker(utt) for utt in dataset.utterances},
    )


def write_chunks(folder: str | Path, batches: ChunkBatches, updates: Sequence[int]) -> float:
    """Write the chunks that our own recipe trains on as utterances of their own, in the order of its updates.

    This is for comparing the two trainings: chunks are ranges of frames in the same archives. Derivatives at a chunk's
    edges see copies of its outermost frames, where our recipe sees the frames beyond.

    Args:
        folder: to be made.
        batches: our recipe's batches.
        updates: which of them, from 1.

    Returns:
        The mean number of phones in a chunk.
    """
    dataset = batches.dataset
    entries = read_scp(dataset.folder / "feats.scp").entries
    features, text, speakers = {}, {}, {}
    for update in updates:
        for place in range((update - 1) * batches.batch_size, update * batches.batch_size):
            utterance, start = batches.chunk(*divmod(place, batches.epoch_items))
            frames = min(batches.chunk_frames, dataset.num_frames[utterance])
            name = f"chunk{place:08d}"
            features[name] = f"{entries[utterance]}[{start}:{start + frames - 1}]"
            text[name] = " ".join(dataset.tokens.names(dataset.targets(utterance, start, frames)))
            speakers[name] = name
    write_data(folder, features, text, speakers)
    return sum(len(line.split()) for line in text.values()) / len(text)
