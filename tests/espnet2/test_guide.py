"""docs/espnet2.md: its YAMLs are read by ESPnet, and its table names every key there is."""

import inspect
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs/espnet2.md"
TEXT = GUIDE.read_text(encoding="utf-8")
YAMLS = dict(re.findall(r"^```yaml (\S+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))


def arguments(kind) -> set[str]:
    return set(inspect.signature(kind).parameters)


def test_every_key_of_the_bottleneck_is_named():
    from vqbn import ReestimationSchedule, VQBottleneck

    for name in (arguments(VQBottleneck) | arguments(ReestimationSchedule)) - {"input_dim", "projection"}:
        assert f"`{name}`" in TEXT, name


@pytest.mark.parametrize("name", YAMLS)
def test_the_yamls_are_complete_but_for_the_data(name, espnet, tmp_path):
    from espnet2.tasks.asr import encoder_choices

    from vqbn.espnet2.checks import check_arguments
    from vqbn.espnet2.task import VQASRTask

    (tmp_path / name).write_text(YAMLS[name])
    (tmp_path / "tokens.txt").write_text("<blank>\n<unk>\nAA\n<sos/eos>\n")
    more = ["--token_list", str(tmp_path / "tokens.txt"), "--output_dir", str(tmp_path / "run"), "--token_type", "phn"]
    args = VQASRTask.get_parser().parse_args(["--config", str(tmp_path / name), *more])
    check_arguments(args)
    encoder = encoder_choices.get_class(args.encoder)(input_size=80, **args.encoder_conf)
    assert encoder.output_size() == args.encoder_conf["code_dim"]


def test_every_key_of_ours_in_espnet_is_named(espnet):
    from vqbn.espnet2.encoders import VQDeepSpeech2Encoder, WrappedEncoder
    from vqbn.espnet2.task import VQASRTask

    ours = (
        vars(VQASRTask.get_parser().parse_args([])).keys() - vars(VQASRTask.__base__.get_parser().parse_args([])).keys()
    )
    assert ours == {"codebook_lr", "allow_unknown_tokens"}
    for name in (arguments(VQDeepSpeech2Encoder) | arguments(WrappedEncoder) | ours | {"vq_weight"}) - {"input_size"}:
        assert re.search(rf"`{name}[`:]", TEXT), name
