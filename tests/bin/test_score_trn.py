import pytest

from vqbn.bin.score_trn import main


def test_two_files_alone(tmp_path, capsys):
    (tmp_path / "ref.trn").write_text("SIL S IH T SIL (u1)\nAH (u2)\n")
    (tmp_path / "hyp.trn").write_text("AH AH (u2)\nSIL S EH SIL (u1)\n")
    assert main(["--ref", str(tmp_path / "ref.trn"), "--hyp", str(tmp_path / "hyp.trn")]) == 0
    lines = {line.strip().rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in printed_rows(capsys)}
    assert lines["PER %"] == "50.00"
    assert lines["PER % as sclite counts"] == "50.00"
    assert lines["PER % without SIL"] == "75.00"
    assert (lines["substitutions"], lines["deletions"], lines["insertions"]) == ("1", "1", "1")


def printed_rows(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1 and "──" not in line]


@pytest.mark.parametrize(
    ("ref", "hyp", "message"),
    [
        ("S (u1)\nT (u2)\n", "S (u1)\n", "hyp.trn: no hypothesis for 1 utterances, the first 'u2'"),
        ("S (u1)\n", "S (u1)\nT (u2)\n", "hyp.trn: no reference for 1 utterances, the first 'u2'"),
        ("", "", "no phone to score against"),
        ("S (u1)\n", "S u1\n", "hyp.trn:1: found 'S u1'"),
        ("S (u1)\n", None, "hyp.trn: can't be read: No such file"),
    ],
)
def test_files_that_cannot_be_scored_are_named(tmp_path, capsys, ref, hyp, message):
    (tmp_path / "ref.trn").write_text(ref)
    if hyp is not None:
        (tmp_path / "hyp.trn").write_text(hyp)
    assert main(["--ref", str(tmp_path / "ref.trn"), "--hyp", str(tmp_path / "hyp.trn")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("options", [[], ["--ref", "a"], ["--hyp", "a"]])
def test_both_files_are_needed(options):
    with pytest.raises(SystemExit, match="2"):
        main(options)
