"""What `diagnose` tells of a codebook."""

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck, diagnose


def clustered(count: int = 400, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def with_two_dead() -> VQBottleneck:
    """Eight codewords, two of them out of reach."""
    codebook = clustered(8, seed=1)
    codebook[3] = codebook[6] = 50.0
    return VQBottleneck.from_codebook(codebook)


def test_given_vectors_are_counted_and_measured():
    bottleneck, x = with_two_dead().eval(), clustered()
    found = diagnose(bottleneck, x)
    indices = bottleneck(x).indices[:, 0]
    assert torch.equal(found.counts[0], indices.bincount(minlength=8))
    assert found.dead[0].tolist() == [3, 6]
    frequencies = found.counts[0].double() / 400
    frequencies = frequencies[frequencies > 0]
    assert found.perplexity[0].item() == pytest.approx(2 ** -(frequencies * frequencies.log2()).sum().item())
    norms = bottleneck.codebook[0].norm(dim=1)
    assert found.relative_scale[0].item() == pytest.approx((norms.mean() / x.norm(dim=1).mean()).item())
    squared = (x - bottleneck(x).quantized).square().sum()
    assert found.error[0].item() == pytest.approx((squared / (x - x.mean(0)).square().sum()).item(), rel=1e-5)


def test_the_text_names_what_matters():
    text = str(diagnose(with_two_dead().eval(), clustered()))
    assert "used                6 of 8; 2 dead" in text
    assert "of dead codewords" in text
    assert "100 on average" in text, "the norm of (50, 50, 50, 50)"
    assert "relative scale" in text
    assert "400 given vectors" in text


def test_codewords_that_are_too_long_are_found_with_advice():
    bottleneck = VQBottleneck(4, 4, 8, projection=False, codebook_init=20.0)
    finding, *_, advice = diagnose(bottleneck, clustered()).findings()
    assert "times as long" in finding
    assert 'normalization="batch"' in advice
    assert diagnose(VQBottleneck.from_codebook(clustered(8)), clustered()).findings() == []


def test_a_collapse_is_found_and_few_codes_are_said_to_be_few():
    codebook = torch.full((100, 4), 3.0) + clustered(100)
    codebook[0] = 0
    findings = " ".join(diagnose(VQBottleneck.from_codebook(codebook), clustered() / 100).findings())
    assert "collapsed" in findings
    assert "Only 400 codes" in findings


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_without_vectors_training_is_looked_at(update):
    bottleneck = VQBottleneck(4, 4, 8, update=update, reestimation=ReestimationSchedule(5, 60, 50), reservoir_size=40)
    assert "first clustering" in str(diagnose(bottleneck))
    shown = [bottleneck(clustered(20, step)).indices for step in range(12)]
    found = diagnose(bottleneck)
    # What was shown after the clustering; the last forward is counted when the next update begins.
    assert torch.equal(found.counts[0], torch.cat(shown[4:-1]).flatten().bincount(minlength=8))
    assert found.clusterings == 1
    assert len(found.encoder_norms) == 40
    for step in range(12, 100):
        bottleneck(clustered(20, step))
    assert found.counts.sum() < diagnose(bottleneck).counts.sum() <= 20 * 100
    # No clustering is to come, so there is no reservoir any more.
    assert "last training forward" in str(diagnose(bottleneck))
    restored = VQBottleneck(4, 4, 8, update=update, reestimation=ReestimationSchedule(5, 60, 50), reservoir_size=40)
    restored.load_state_dict(bottleneck.state_dict())
    assert torch.equal(diagnose(restored).counts, diagnose(bottleneck).counts)


def test_codes_of_a_codebook_that_is_gone_are_not_counted():
    bottleneck = VQBottleneck(4, 4, 8, reestimation=ReestimationSchedule(3, 70, 67), reservoir_size=40)
    for step in range(70):
        bottleneck(clustered(20, step))
    assert [event.update for event in bottleneck.reestimations] == [3, 70]
    assert diagnose(bottleneck).counts is None


def test_several_codebooks_with_padding_and_normalisation():
    torch.manual_seed(0)
    bottleneck = VQBottleneck(6, 4, 8, num_codebooks=2, normalization="batch")
    for step in range(3):
        bottleneck(torch.randn(2, 10, 6) + step)
    x, lengths = torch.randn(3, 10, 6), torch.tensor([10, 4, 0])
    x[1, 4:] = torch.inf
    before = {name: value.clone() for name, value in bottleneck.state_dict().items()}
    found = diagnose(bottleneck, x, lengths=lengths)
    bottleneck.eval()
    indices = bottleneck(x, lengths=lengths).indices.flatten(0, 1)
    valid = indices[(indices >= 0).all(1)]
    assert found.counts.tolist() == [column.bincount(minlength=8).tolist() for column in valid.T]
    assert found.encoder_norms.shape == (14, 2)
    assert "2 codebooks of 8" in str(found)
    for name, value in bottleneck.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(TypeError, match="Linear"):
        diagnose(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no real, finite vector"):
        diagnose(with_two_dead(), torch.full((3, 4), torch.nan))


@pytest.mark.parametrize(
    "make",
    [
        lambda: diagnose(with_two_dead(), clustered()),
        lambda: diagnose(VQBottleneck(4, 4, 8, num_codebooks=4), clustered()),
        lambda: diagnose(VQBottleneck(4, 4, 8)),
        lambda: diagnose(VQBottleneck(1, 1, 8, reestimation=ReestimationSchedule(9, 9, 1)), torch.randn(5, 1)),
    ],
)
def test_the_picture_is_drawn_of_whatever_is_known(make, tmp_path):
    pytest.importorskip("matplotlib")
    diagnosis = make()
    diagnosis.save(tmp_path / "codebook.png")
    assert (tmp_path / "codebook.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title() for axes in diagnosis.figure().axes] == [
        "Use of the codewords, sorted",
        "Norms",
        "Where the codewords lie",
    ]
