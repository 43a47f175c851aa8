import pytest

from vqbn.kaldi.speaker_split import split_speakers


def test_every_second_speaker_of_the_sorted_list_is_for_tuning():
    assert split_speakers(["c", "a", "e", "b", "d"]) == (["b", "d"], ["a", "c", "e"])


def test_each_half_has_its_share_of_either_gender():
    gender = {"1": "f", "2": "m", "3": "f", "4": "m", "5": "m", "6": "m", "7": "f"}
    tune, report = split_speakers(list(gender), gender)
    assert (tune, report) == (["2", "3", "5"], ["1", "4", "6", "7"])
    for half in (tune, report):
        assert {gender[speaker] for speaker in half} == {"f", "m"}


@pytest.mark.parametrize("count", [2, 3, 14, 15, 125])
def test_the_halves_are_disjoint_complete_and_do_not_depend_on_the_order(count):
    speakers = [f"{17 * i % 1000:03d}" for i in range(count)]
    tune, report = split_speakers(speakers)
    assert sorted(tune + report) == sorted(speakers)
    assert len(report) - len(tune) == count % 2
    assert split_speakers(speakers[::-1]) == (tune, report)


def test_one_speaker_can_not_be_divided():
    with pytest.raises(ValueError, match="found 1 speakers, expected at least two"):
        split_speakers(["a"])
