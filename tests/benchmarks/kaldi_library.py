"""Alignments cut into phones by us and by Kaldi's own SplitToPhones, where there is no Kaldi to run.

usage: python tests/benchmarks/kaldi_library.py LIBRARIES ALI_DIR ...

LIBRARIES is the folder kaldi_active_grammar.libs in the wheel of kaldi-active-grammar (AGPL; unzip it somewhere), which
holds Kaldi compiled as shared libraries without its headers. Needs g++. ALI_DIR are alignment directories, such as
exp/tri3b_ali_train. Prints a row for each: utterances, frames, and utterances whose phones or lengths differ.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from vqbn.kaldi.alignment import alignment_files, read_alignments, split_phones
from vqbn.kaldi.transition_model import read_transition_model

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


def main() -> None:
    """Compile, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("libraries", type=Path)
    options.add_argument("ali_dirs", type=Path, nargs="+")
    args = options.parse_args()
    environment = dict(os.environ, LD_LIBRARY_PATH=str(args.libraries.absolute()))
    print("| alignments | utterances | frames | utterances that differ |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        splitter = compile_splitter(args.libraries, Path(name))
        for folder in args.ali_dirs:
            model = read_transition_model(folder / "final.mdl")
            utterances = frames = differ = 0
            for path in alignment_files(folder):
                found = read_alignments(path)
                cuts = [found.ids[a:b] for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
                lines = "".join(" ".join(map(str, ids.tolist())) + "\n" for ids in cuts)
                command = [str(splitter), str(folder / "final.mdl")]
                said = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, env=environment)
                runs = split_phones(found, model)
                pairs = np.stack([runs.phones, runs.frames], 1)
                for number, line in enumerate(said.stdout.splitlines()):
                    ours = pairs[runs.offsets[number] : runs.offsets[number + 1]].ravel()
                    differ += [int(not runs.broken[number]), *ours.tolist()] != list(map(int, line.split()))
                utterances, frames = utterances + len(cuts), frames + len(found.ids)
            print(f"| {folder.name} | {utterances:,} | {frames:,} | {differ:,} |", flush=True)


if __name__ == "__main__":
    main()
