"""CMVN: the definition, Kaldi's numbers and Kaldi's files."""

import kaldiio
import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import write_archive
from vqbn.kaldi.cmvn import Cmvn, accumulate, accumulate_groups, read_cmvn, read_speaker_cmvn, write_cmvn
from vqbn.kaldi.deltas import add_deltas


@pytest.fixture
def matrices():
    """Features of three utterances far from zero mean."""
    rng = np.random.default_rng(0)
    return [rng.normal(5, 2, size=(frames, 4)).astype(np.float32) for frames in (10, 1, 300)]


def test_mean_and_deviation_are_those_of_all_frames(matrices):
    cmvn = accumulate(matrices)
    together = np.concatenate(matrices).astype(np.float64)
    assert cmvn.frames == 311
    np.testing.assert_allclose(cmvn.mean, together.mean(0))
    np.testing.assert_allclose(cmvn.std, together.std(0))
    normalised = cmvn.normalise(np.concatenate(matrices))
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(0), 1, atol=1e-5)


def test_parts_add_up(matrices):
    parts = accumulate(matrices[:1]) + accumulate(matrices[1:])
    np.testing.assert_allclose(parts.stats, accumulate(matrices).stats)


def test_a_constant_dimension_does_not_divide_by_zero():
    cmvn = accumulate([np.full((10, 2), 3.0)])
    assert np.isfinite(cmvn.normalise(np.full((1, 2), 3.0, np.float32))).all()


def test_no_matrices_are_refused():
    with pytest.raises(ValueError, match="no feature matrices"):
        accumulate([])


def test_round_trip_in_double_precision(tmp_path, matrices):
    cmvn = accumulate(matrices)
    write_cmvn(tmp_path / "cmvn.ark", cmvn)
    assert (tmp_path / "cmvn.ark").read_bytes().startswith(b"\0BDM ")
    np.testing.assert_array_equal(read_cmvn(tmp_path / "cmvn.ark", dims=4).stats, cmvn.stats)


def test_damaged_and_foreign_files_are_refused(tmp_path, matrices):
    write_cmvn(tmp_path / "good", accumulate(matrices))
    content = (tmp_path / "good").read_bytes()
    (tmp_path / "cut").write_bytes(content[:40])
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").touch()
    kaldiio.save_mat(str(tmp_path / "matrix"), np.zeros((3, 5)))
    write_cmvn(tmp_path / "none", Cmvn(np.zeros((2, 5))))
    for name in ("cut", "text", "empty", "matrix", "none", "missing"):
        with pytest.raises(InputError, match=f"{name}: .*stage 2") as error:
            read_cmvn(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="of 4 dimensions; expected 243"):
        read_cmvn(tmp_path / "good", dims=243)


@pytest.mark.parametrize("name", ["cmvn_global", "cmvn_global_deltas"])
def test_equals_kaldi(real_data, name):
    folder = real_data / "speechocean762/kaldi/expected/feats"
    features = [matrix for _, matrix in kaldiio.load_ark(str(folder / "fbank80e.ark"))]
    if name.endswith("deltas"):
        features = [add_deltas(matrix) for matrix in features]
    expected = read_cmvn(folder / f"{name}.mat")
    stats = accumulate(features).stats
    # A derivative's sum over frames is a small difference of large numbers, so it is held to the sum of magnitudes.
    scale = np.concatenate([np.abs(np.concatenate(features)).sum(0), [1]])
    np.testing.assert_array_less(np.abs(stats[0] - expected.stats[0]), 1e-5 * scale + 1e-9)
    np.testing.assert_allclose(stats[1], expected.stats[1], rtol=1e-5)
    if name == "cmvn_global":
        np.testing.assert_allclose(stats, expected.stats, rtol=1e-5)


def test_normalise_equals_apply_cmvn(real_data):
    folder = real_data / "speechocean762/kaldi/expected/feats"
    cmvn = read_cmvn(folder / "cmvn_global.mat")
    static = dict(kaldiio.load_ark(str(folder / "fbank80e.ark")))
    for utterance, expected in kaldiio.load_ark(str(folder / "fbank80e_cmvn_global_normvars_true.ark")):
        np.testing.assert_allclose(cmvn.normalise(static[utterance]), expected, atol=1e-4)


def test_groups_share_matrices(matrices):
    names = ("a", "b", "a")
    sums = accumulate_groups((("all", name), matrix) for name, matrix in zip(names, matrices, strict=True))
    assert list(sums) == ["all", "a", "b"]
    np.testing.assert_array_equal(sums["all"].stats, accumulate(matrices).stats)
    np.testing.assert_array_equal(sums["a"].stats, accumulate([matrices[0], matrices[2]]).stats)
    np.testing.assert_array_equal(sums["b"].stats, accumulate([matrices[1]]).stats)


def test_damaged_statistics_of_a_speaker_are_named(tmp_path, matrices):
    good = accumulate(matrices).stats
    for name, stats, message in (
        ("shape", good[:1], "'b': not CMVN statistics"),
        ("empty", np.zeros_like(good), "'b': CMVN statistics of no frames"),
        ("narrow", good[:, 1:], "'b': statistics of 3 dimensions; expected 4"),
    ):
        write_archive(tmp_path, name, {"a": good, "b": stats})
        with pytest.raises(InputError, match=f"{name}.scp: {message}"):
            read_speaker_cmvn(tmp_path / f"{name}.scp", dims=4)
    with pytest.raises(InputError, match=r"missing.scp: no such file; .*--cmvn speaker"):
        read_speaker_cmvn(tmp_path / "missing.scp")


def test_each_speaker_equals_kaldis_compute_cmvn_stats(real_data):
    """In Kaldi's own file the id of a speaker is what precedes the hyphen of the utterances'."""
    folder = real_data / "speechocean762/kaldi/expected/feats"
    static = dict(kaldiio.load_ark(str(folder / "fbank80e.ark")))
    ours = accumulate_groups(((utterance.split("-")[0],), matrix) for utterance, matrix in static.items())
    expected = dict(kaldiio.load_ark(str(folder / "cmvn_per_spk.ark")))
    assert ours.keys() == expected.keys()
    for speaker, stats in expected.items():
        np.testing.assert_allclose(ours[speaker].stats, stats, rtol=1e-6)
    for utterance, normalised in kaldiio.load_ark(str(folder / "fbank80e_cmvn_spk_normvars_true.ark")):
        np.testing.assert_allclose(ours[utterance.split("-")[0]].normalise(static[utterance]), normalised, atol=1e-4)
