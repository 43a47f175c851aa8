"""Alignments cut into phones by us and by Kaldi's own SplitToPhones, where there is no Kaldi to run.

usage: python tests/benchmarks/kaldi_library.py LIBRARIES [ALI_DIR ...]

LIBRARIES is the folder kaldi_active_grammar.libs in the wheel of kaldi-active-grammar (AGPL; unzip it somewhere), which
holds Kaldi compiled as shared libraries without its headers. Needs g++. ALI_DIR are alignment directories, such as
exp/tri3b_ali_train. Prints a row for each: utterances, frames, and utterances whose phones or lengths differ. Before
them come rows of made-up topologies, chain models' among them (tests/kaldi/test_alignment.py): all paths of a few
frames and random longer ones, with self-loops before the arc that leaves their state and after it.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vqbn.kaldi.alignment import Alignments, alignment_files, read_alignments, split_phones
from vqbn.kaldi.transition_model import read_transition_model

sys.path.append(str(Path(__file__).parents[1] / "kaldi"))
from test_alignment import TOPOLOGIES, every_path, lay_out, write_topology

LONGER = 4000

# The class is declared as room enough for it: all zeros are an empty model, which Read then fills.
SOURCE = """
#include <fstream>
#include <iostream>
#include <sstream>
#include <vector>
namespace kaldi {
struct TransitionModel {
  alignas(16) char room[16384];
  void Read(std::istream &, bool);
  int TransitionIdToPhone(int) const;
};
bool SplitToPhones(const TransitionModel &, const std::vector<int> &, std::vector<std::vector<int>> *);
}
static kaldi::TransitionModel model;
int main(int, char **arguments) {
  std::ifstream file(arguments[1], std::ios::binary);
  bool binary = file.peek() == 0;
  if (binary) file.ignore(2);
  model.Read(file, binary);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::vector<int> ids;
    std::vector<std::vector<int>> phones;
    for (int id; words >> id;) ids.push_back(id);
    std::cout << SplitToPhones(model, ids, &phones);
    for (auto &phone : phones) std::cout << ' ' << model.TransitionIdToPhone(phone[0]) << ' ' << phone.size();
    std::cout << std::endl;
  }
}
"""


def compile_splitter(libraries: Path, folder: Path) -> Path:
    """A program that reads transition-ids, a line per utterance, and writes if they end well, phones and lengths."""
    (folder / "split.cc").write_text(SOURCE)
    (library,) = libraries.glob("libkaldi-hmm*.so")
    command = ["g++", "-O1", "-D_GLIBCXX_USE_CXX11_ABI=0", "split.cc", "-o", "split", str(library.absolute())]
    subprocess.run([*command, "-Wl,--allow-shlib-undefined"], cwd=folder, check=True)
    return folder / "split"


def count_differences(splitter: Path, libraries: Path, model_file: Path, found: Alignments) -> int:
    """How many utterances Kaldi cuts otherwise than we do, or calls sound where we call them broken, or the reverse."""
    cuts = [found.ids[a:b] for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
    said = subprocess.run(
        [str(splitter), str(model_file)],
        input="".join(" ".join(map(str, ids.tolist())) + "\n" for ids in cuts),
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ, LD_LIBRARY_PATH=str(libraries.absolute())),
    )
    runs = split_phones(found, read_transition_model(model_file))
    pairs = np.stack([runs.phones, runs.frames], 1)
    differ = 0
    for number, line in enumerate(said.stdout.splitlines()):
        ours = pairs[runs.offsets[number] : runs.offsets[number + 1]].ravel()
        differ += [int(not runs.broken[number]), *ours.tolist()] != list(map(int, line.split()))
    return differ


def made_up_paths(name: str) -> list[str]:
    """Paths through a topology of the tests: all that are a few frames long, and random rows of those."""
    rng = random.Random(0)
    paths = []
    for order in (0, 1):
        short = every_path(name, order)
        paths += short
        paths += ["".join(rng.choices(short, k=rng.randint(2, 20))) for _ in range(LONGER // 2)]
    return paths


def main() -> None:
    """Compile, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("libraries", type=Path)
    options.add_argument("ali_dirs", type=Path, nargs="*")
    args = options.parse_args()
    print("| alignments | utterances | frames | utterances that differ |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splitter = compile_splitter(args.libraries, folder)
        for topology in TOPOLOGIES:
            model_file = write_topology(folder / "final.mdl", topology)
            found = lay_out(topology, made_up_paths(topology))
            differ = count_differences(splitter, args.libraries, model_file, found)
            print(f"| made up: {topology} | {len(found.utterances):,} | {len(found.ids):,} | {differ:,} |", flush=True)
        for ali_dir in args.ali_dirs:
            utterances = frames = differ = 0
            for path in alignment_files(ali_dir):
                found = read_alignments(path)
                differ += count_differences(splitter, args.libraries, ali_dir / "final.mdl", found)
                utterances, frames = utterances + len(found.utterances), frames + len(found.ids)
            print(f"| {ali_dir.name} | {utterances:,} | {frames:,} | {differ:,} |", flush=True)


if __name__ == "__main__":
    main()
