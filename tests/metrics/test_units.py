import gzip
import itertools

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from vqbn.metrics.units import joint_codes, latent_phones, phone_purity, pnmi


@pytest.mark.parametrize(
    ("segments", "subsampling", "expected"),
    [
        # frames 1 1 2 2 2 0 3: centres are frames 1, 4 and, the last latent being short, 6.
        ([(1, 2), (2, 3), (0, 1), (3, 1)], 3, [1, 2, 3]),
        # eight frames: the last latent covers frames 6 and 7, its centre is 7.
        ([(1, 4), (2, 3), (3, 1)], 3, [1, 2, 3]),
        ([(4, 1)], 3, [4]),
        ([(1, 2), (2, 1)], 1, [1, 1, 2]),
        ([(1, 3), (2, 3)], 2, [1, 2, 2]),
    ],
)
def test_a_latent_has_the_phone_of_its_centre_frame(segments, subsampling, expected):
    np.testing.assert_array_equal(latent_phones(np.array(segments), subsampling), expected)


@pytest.mark.parametrize("frames", range(1, 12))
def test_one_phone_per_latent(frames):
    phones = latent_phones(np.array([[1, 1]] * frames), 3)
    assert len(phones) == -(-frames // 3)
    frame_index = latent_phones(np.array([[i, 1] for i in range(frames)]), 3)
    np.testing.assert_array_equal(frame_index, [min(3 * t + 1, frames - 1) for t in range(len(phones))])


def test_purity_by_hand():
    # code 0: phones 1 1 2, code 1: phones 2 2 3 3 -> (2 + 2) / 7
    phones, codes = np.array([1, 1, 2, 2, 2, 3, 3]), np.array([0, 0, 0, 1, 1, 1, 1])
    assert phone_purity(phones, codes) == pytest.approx(4 / 7)


def test_codes_that_are_the_phones_are_pure_and_tell_all():
    phones = np.array([5, 5, 2, 9, 9, 9])
    assert phone_purity(phones, phones * 100) == 1
    assert pnmi(phones, phones * 100) == pytest.approx(1)


def test_one_code_for_everything_tells_nothing():
    phones = np.array([1, 1, 1, 2])
    assert phone_purity(phones, np.zeros(4, dtype=int)) == 0.75
    assert pnmi(phones, np.zeros(4, dtype=int)) == 0


def test_pnmi_of_a_split_is_one_bit_of_two():
    assert pnmi(np.array([1, 2, 3, 4]), np.array([0, 0, 1, 1])) == pytest.approx(0.5)


def test_pnmi_of_a_single_phone_is_undefined():
    assert np.isnan(pnmi(np.array([1, 1]), np.array([0, 1])))


@pytest.mark.parametrize("seed", range(5))
def test_both_equal_what_the_dense_matrix_and_scikit_learn_give(seed):
    rng = np.random.default_rng(seed)
    phones, codes = rng.integers(1, 40, 2000), rng.integers(0, 300, 2000) ** 2 // 90
    dense = np.zeros((codes.max() + 1, 40))
    np.add.at(dense, (codes, phones), 1)
    assert phone_purity(phones, codes) == pytest.approx(dense.max(1).sum() / dense.sum())
    expected = mutual_info_score(phones, codes) / mutual_info_score(phones, phones)
    assert pnmi(phones, codes) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [phone_purity, pnmi])
def test_relabelling_changes_nothing_and_bad_lengths_are_refused(measure):
    rng = np.random.default_rng(0)
    phones, codes = rng.integers(1, 5, 100), rng.integers(0, 10, 100)
    assert measure(phones, codes) == pytest.approx(measure(phones + 7, 1000 - codes))
    for bad in (phones[:-1], phones[:0]):
        with pytest.raises(ValueError):
            measure(bad, codes[: len(bad) and 100])


def test_joint_codes_number_tuples():
    codes = np.array([[1, 2], [1, 2], [2, 1], [0, 0]])
    joint = joint_codes(codes, 3)
    assert joint[0] == joint[1]
    assert len(set(joint.tolist())) == 3
    np.testing.assert_array_equal(joint_codes(np.array([[4], [2]]), 5), [4, 2])


def test_joint_codes_of_many_codebooks_stay_distinct():
    codes = np.zeros((3, 8), dtype=np.int32)
    codes[1, 7] = codes[2, 0] = 4095
    assert len(set(joint_codes(codes, 4096).tolist())) == 3


def test_centre_frames_have_kaldis_phones_on_real_alignments(real_data):
    """Kaldi's own (phone, length) pairs against its own phone per frame."""

    def lines(name):
        with gzip.open(real_data / "speechocean762/kaldi/expected/train" / name, "rt") as file:
            yield from itertools.islice(file, 400)

    for pairs, frames in zip(lines("phones_lengths.txt.gz"), lines("phones_per_frame.txt.gz"), strict=True):
        utterance, _, rest = pairs.partition(" ")
        segments = np.array([pair.split() for pair in rest.split(";")], dtype=np.int64)
        same, *phones = frames.split()
        assert utterance == same
        centres = [phones[min(3 * t + 1, len(phones) - 1)] for t in range(-(-len(phones) // 3))]
        assert latent_phones(segments, 3).astype(str).tolist() == centres
