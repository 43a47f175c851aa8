"""From nested keys to a bottleneck."""

import pytest

from vqbn import LinearBottleneck, VQBottleneck
from vqbn.errors import InputError
from vqbn.espnet2.configured import build_bottleneck


def test_keys_are_the_arguments_of_the_bottleneck_and_its_schedule():
    schedule = {"start": 3, "until": 9, "every": 3}
    conf = {"codebook_size": 16, "normalization": "batch", "update": "ema", "reestimation": schedule}
    bottleneck = build_bottleneck("vq", 6, 4, conf)
    assert isinstance(bottleneck, VQBottleneck)
    assert bottleneck.codebook.shape == (1, 16, 4)
    assert bottleneck.update == "ema"
    assert bottleneck.normalization is not None
    assert bottleneck.reestimation.updates() == [3, 6, 9]
    assert not bottleneck.quantizing


def test_linear_is_no_bottleneck():
    assert isinstance(build_bottleneck("linear", 6, 4, {}), LinearBottleneck)


@pytest.mark.parametrize(
    ("kind", "conf", "said"),
    [
        ("vq", {"codebok_size": 16}, "bottleneck_conf: codebok_size: no such key; did you mean codebook_size?"),
        ("vq", {"code_dim": 16}, "bottleneck_conf: code_dim: no such key"),
        ("vq", {}, "codebook_size: not given"),
        ("vq", {"codebook_size": "many"}, "codebook_size must be an integer"),
        ("vq", {"codebook_size": 16, "commitment": "1e-2"}, "write 1.0e-2"),
        ("vq", {"codebook_size": 16, "reestimation": True}, "reestimation: found True"),
        ("vq", {"codebook_size": 16, "reestimation": {"begin": 1}}, "reestimation: begin: no such key"),
        ("vq", {"codebook_size": 16, "reestimation": {"start": 5, "until": 3, "every": 1}}, "must not be before start"),
        ("linear", {"codebook_size": 16}, "found codebook_size, expected nothing"),
        ("vae", {}, "found 'vae', expected vq or linear"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(kind, conf, said):
    with pytest.raises(InputError) as error:
        build_bottleneck(kind, 6, 4, conf)
    assert said in str(error.value)
    assert str(error.value).startswith("encoder_conf: bottleneck")
    assert "\n" not in str(error.value)
