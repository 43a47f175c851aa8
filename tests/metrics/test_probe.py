import numpy as np
import pytest
import torch

from vqbn.metrics.probe import Coded, IndexProbe, fit_probe, probe_errors, probe_loss


def speech(count, seed, codes_per_symbol=4, collapsed=False, num_codebooks=1):
    """Symbols 1 to 5, each three latents long in codes of its own with a pause code between; or all in one code."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        symbols = rng.integers(1, 6, 6)
        codes = []
        for symbol in symbols:
            codes += [0, *(1 + (symbol - 1) * codes_per_symbol + rng.integers(0, codes_per_symbol, 3))]
        codes = np.array(codes)[:, None].repeat(num_codebooks, 1)
        made.append(Coded(0 * codes if collapsed else codes, symbols))
    return made


def test_symbols_are_read_from_codes_that_stand_for_them():
    probe = fit_probe(speech(100, 0), 21, 6, epochs=30)
    assert probe_errors(probe, speech(20, 1)).rate < 5


def test_collapsed_codes_say_nothing():
    probe = fit_probe(speech(60, 0, collapsed=True), 21, 6, epochs=10)
    assert probe_errors(probe, speech(20, 1, collapsed=True)).rate > 70


def test_the_loss_is_nats_per_symbol_whatever_the_batches():
    probe, lines = IndexProbe(21, 1, 6), speech(10, 1)
    lines[3] = Coded(lines[3].codes, lines[3].targets[:2])
    each = [
        torch.nn.functional.ctc_loss(
            probe(torch.as_tensor(line.codes)[None])[0], torch.as_tensor(line.targets), [24], [len(line.targets)]
        )
        * len(line.targets)
        for line in lines
    ]
    expected = pytest.approx(sum(each).item() / 56, rel=1e-5)
    assert probe_loss(probe, lines) == expected
    assert probe_loss(probe, lines, batch_size=3) == expected


def test_one_telling_code_lowers_the_loss():
    collapsed, telling = speech(60, 0, collapsed=True), speech(60, 0)
    telling = [Coded(np.where(line.codes > 16, 1, 0), line.targets) for line in telling]
    losses = []
    for lines in (collapsed, telling):
        probe = fit_probe(lines, 21, 6, epochs=10)
        losses.append(probe_loss(probe, lines))
    assert losses[1] < 0.95 * losses[0]


def test_it_is_a_function_of_its_arguments():
    torch.manual_seed(1)
    one = fit_probe(speech(10, 0), 21, 6, epochs=2, seed=3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    other = fit_probe(speech(10, 0), 21, 6, epochs=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    third = fit_probe(speech(10, 0), 21, 6, epochs=2, seed=4)
    assert not torch.equal(one.head.weight, third.head.weight)


def test_several_codebooks_have_embeddings_of_their_own():
    probe = IndexProbe(10, 2, 4)
    assert probe.embedding.num_embeddings == 20
    codes = torch.tensor([[[1, 2]], [[2, 1]]])
    first, second = probe(codes)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(probe(codes).exp().sum(-1), torch.ones(2, 1))
    assert probe_errors(fit_probe(speech(20, 0, num_codebooks=2), 21, 6, epochs=1), speech(3, 1, num_codebooks=2))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="at least one sequence"):
        fit_probe([], 4, 3)
