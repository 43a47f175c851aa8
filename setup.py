"""vqbn: vector-quantised bottlenecks that do not collapse, and the recipes that show it."""

import platform
import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+?)"', (here / "vqbn/version.py").read_text()).group(1)

recipes = [
    "lightning>=2.6",
    "kaldiio>=2.18",
    "kaldi-native-fbank>=1.20",
    "kaldialign>=0.9",
    "soundfile>=0.12",
    "scipy>=1.11",
    "configargparse>=1.7",
    "pyyaml>=6",
    "rich>=13",
    "matplotlib>=3.8",
    "tensorboard>=2.14",
    "safetensors>=0.4",
]
# What vqbn.load needs of a model folder's kind, and nothing of training.
models = ["safetensors>=0.4", "kaldi-native-fbank>=1.20", "soundfile>=0.12", "scipy>=1.11", "pillow>=10"]
mini = ["espeakng-loader>=0.2"]
images = ["scikit-learn>=1.4", "pillow>=10"]
align = ["pocketsphinx>=5.0"]
# desphere reads the discs' audio; desphere-native does the same at many times its speed.
wsj = ["desphere>=0.1.1", "desphere-native>=0.1.1"]
torchaudio = ["torchaudio>=2.11"]
text = ["sentencepiece>=0.2.0"]
espnet = ["espnet==202511", *text, "setuptools<74"]
peers = ["vector-quantize-pytorch>=1.20"]
benchmarks = [*peers, "faiss-cpu>=1.8", "scikit-learn>=1.4", "threadpoolctl>=3"]
test = [
    *recipes,
    *mini,
    *images,
    *align,
    *wsj,
    *torchaudio,
    *text,
    "pytest>=8",
    "pytest-xdist>=3.5",
    "ruff>=0.6",
    "hypothesis>=6",
    "scikit-learn>=1.4",
    "accelerate>=1.0",
    "onnx>=1.16",
    "onnxscript>=0.3",
    "onnxruntime>=1.18",
]

commands = {
    "vqbn-validate-data-dir": "validate_data_dir",
    "vqbn-make-mini-speech": "make_mini_speech",
    "vqbn-prepare-speechocean762": "prepare_speechocean762",
    "vqbn-prepare-wsj": "prepare_wsj",
    "vqbn-prepare-kaldi": "prepare_kaldi",
    "vqbn-prepare-cifar10": "prepare_cifar10",
    "vqbn-make-mini-lines": "make_mini_lines",
    "vqbn-prepare-scribblelens": "prepare_scribblelens",
    "vqbn-import-alignments": "import_alignments",
    "vqbn-align": "align",
    "vqbn-make-features": "make_features",
    "vqbn-split-speakers": "split_speakers",
    "vqbn-train": "train",
    "vqbn-encode": "encode",
    "vqbn-export": "export",
    "vqbn-decode": "decode",
    "vqbn-reconstruct": "reconstruct",
    "vqbn-score": "score",
    "vqbn-score-trn": "score_trn",
    "vqbn-report": "report",
    "vqbn-tune": "tune",
    "vqbn-make-tokens": "make_tokens",
    "vqbn-espnet-data": "espnet_data",
    "vqbn-espnet-asr-train": "espnet_asr_train",
    "vqbn-espnet-asr-inference": "espnet_asr_inference",
    "vqbn-espnet-score": "espnet_score",
    "vqbn-scale-study": "scale_study",
    "vqbn-fit-codebook": "fit_codebook",
}

# The lookup on a CPU, in one pass. Where it can't be compiled, vqbn is installed without it, and looks up more slowly.
compiled = Extension(
    "vqbn.bottleneck._compiled_lookup",
    ["vqbn/bottleneck/compiled_lookup.cpp", "vqbn/bottleneck/tile_lookup.cpp"],
    depends=["vqbn/bottleneck/compiled_lookup.h"],
    extra_compile_args=["-O3", "-std=c++17", "-ffp-contract=fast", "-fopenmp"],
    extra_link_args=["-fopenmp"],
    optional=True,
)

setup(
    name="vqbn",
    version=version,
    description="Vector-quantised bottlenecks that do not collapse, and the recipes that show it",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["vqbn", "vqbn.*"]),
    package_data={"vqbn": ["py.typed"]},
    ext_modules=[compiled] if (sys.platform, platform.machine()) == ("linux", "x86_64") else [],
    python_requires=">=3.11",
    install_requires=["torch>=2.11", "numpy>=1.26"],
    extras_require={
        "recipes": recipes,
        "mini": mini,
        "models": models,
        "images": images,
        "align": align,
        "wsj": wsj,
        "torchaudio": torchaudio,
        "text": text,
        "espnet": espnet,
        "peers": peers,
        "benchmarks": benchmarks,
        "test": test,
    },
    entry_points={
        "console_scripts": [f"{name} = vqbn.bin.start:{module}" for name, module in commands.items()],
    },
)
