"""The quantiser against definitions."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vqbn import LinearBottleneck, ReestimationSchedule, VQBottleneck


def bottleneck(**options) -> VQBottleneck:
    torch.manual_seed(1)
    return VQBottleneck(**({"input_dim": 6, "code_dim": 4, "codebook_size": 8, "codebook_init": 1.0} | options))


def latents_of(vq: VQBottleneck, x: torch.Tensor) -> torch.Tensor:
    return vq.projection(x).unflatten(-1, (vq.num_codebooks, -1))


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_each_vector_becomes_its_nearest_codeword(num_codebooks):
    vq = bottleneck(num_codebooks=num_codebooks).eval()
    x = torch.randn(3, 5, 6)
    output = vq(x)
    assert output.quantized.shape == (3, 5, 4)
    assert output.indices.shape == (3, 5, num_codebooks)
    assert output.indices.dtype == torch.int64
    for c in range(num_codebooks):
        distances = torch.cdist(latents_of(vq, x)[..., c, :].reshape(15, -1).double(), vq.codebook[c].double())
        assert torch.equal(output.indices[..., c].flatten(), distances.argmin(1))
        expected = vq.codebook[c][output.indices[..., c]]
        assert torch.equal(output.quantized.unflatten(-1, (num_codebooks, -1))[..., c, :], expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_codebooks", [1, 2])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_gradients_equal_those_derived_by_hand(update, num_codebooks, training):
    vq = bottleneck(
        update=update, num_codebooks=num_codebooks, commitment=0.4, codebook_weight=0.7, projection=False, input_dim=4
    )
    vq.double().train(training)
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, 5) < 0.7
    upstream = torch.randn(3, 5, 4, dtype=torch.float64)
    output = vq(x, mask=mask)
    codewords = vq.decode_indices(output.indices)
    (0.5 * (output.quantized * upstream).sum() + 3 * output.loss).backward()

    values = mask.sum() * 4
    error = torch.where(mask.unsqueeze(-1), x.detach() - codewords, 0)
    codebook_weight = 0.7 if update == "gradient" else 0
    assert torch.allclose(output.loss, (0.4 + codebook_weight) * error.square().sum() / values)
    # Straight through, and 2 γ (x - w) of the commitment term.
    to_x = torch.where(mask.unsqueeze(-1), 0.5 * upstream, 0) + 3 * 0.4 * 2 * error / values
    assert torch.allclose(x.grad, to_x)
    if update == "ema":
        assert not isinstance(vq.codebook, nn.Parameter)
        return
    to_codebook = torch.zeros_like(vq.codebook)
    for c in range(num_codebooks):
        parts = error.unflatten(-1, (num_codebooks, -1))[..., c, :][mask]
        to_codebook[c].index_add_(0, output.indices[..., c][mask], -3 * 0.7 * 2 * parts / values)
    assert torch.allclose(vq.codebook.grad, to_codebook)


def test_the_codebook_and_the_commitment_term_reach_only_their_own_side():
    for commitment, codebook_weight in ((0.25, 0.0), (0.0, 1.0)):
        vq = bottleneck(commitment=commitment, codebook_weight=codebook_weight)
        x = torch.randn(3, 5, 6, requires_grad=True)
        vq(x).loss.backward()
        assert bool(x.grad.any()) == (commitment > 0)
        assert bool(vq.codebook.grad.any()) == (codebook_weight > 0)


def test_second_derivatives_are_refused_not_wrong():
    bottleneck = VQBottleneck(4, 4, 8, projection=False)
    x = torch.randn(5, 4, requires_grad=True)
    output = bottleneck(x)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(output.quantized.square().sum() + output.loss, x, create_graph=True)


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_decoding_indices_gives_the_output_bit_for_bit(update, num_codebooks):
    vq = bottleneck(update=update, num_codebooks=num_codebooks, normalization="batch")
    for _ in range(3):
        vq(torch.randn(4, 7, 6))
    vq.eval()
    with torch.no_grad():
        vq.codebook[0, 0, 0] = -0.0
    x = torch.randn(200, 3, 6)
    for context in (torch.no_grad(), torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16)):
        with context:
            output = vq(x, lengths=torch.arange(200) % 4)
            decoded = vq.decode_indices(output.indices)
        assert output.quantized.dtype == decoded.dtype == torch.float32
        assert torch.equal(output.quantized.view(torch.int32), decoded.view(torch.int32))


def test_indices_that_no_codeword_has_are_refused():
    vq = bottleneck()
    with pytest.raises(ValueError, match=r"-1\.\.7"):
        vq.decode_indices(torch.tensor([[8]]))
    with pytest.raises(ValueError, match=r"\(\.\.\., 1\)"):
        vq.decode_indices(torch.tensor([[1, 2]]))
    with pytest.raises(TypeError, match="float32"):
        vq.decode_indices(torch.zeros(1, 1))
    assert torch.equal(vq.decode_indices(torch.tensor([[-1]])), torch.zeros(1, 4))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_before_the_first_clustering_the_projection_goes_through(update, training):
    vq = bottleneck(update=update, reestimation=ReestimationSchedule(10, 10, 1)).train(training)
    x = torch.randn(3, 5, 6, requires_grad=True)
    output = vq(x)
    assert torch.equal(output.quantized, vq.projection(x))
    assert (output.indices == -1).all()
    assert output.loss == 0
    (output.quantized.sum() + output.loss).backward()
    assert torch.allclose(x.grad, vq.projection.weight.sum(0).expand_as(x))
    if update == "gradient":
        assert torch.equal(vq.codebook.grad, torch.zeros_like(vq.codebook))
    with pytest.raises(RuntimeError, match="first clustering"):
        vq.decode_indices(output.indices)


@pytest.mark.parametrize("size", [1, 2, 65536])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_assignments_are_those_of_float64_but_for_rounding(size, dtype):
    vq = bottleneck(codebook_size=size, input_dim=16, code_dim=16, projection=False)
    with torch.no_grad():
        vq.codebook.normal_().add_(5)
    # Features with a mean of five standard deviations are where half precision loses half of the codes.
    x = (5 + torch.randn(1, 64, 16)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16 if dtype == torch.float32 else dtype):
        indices = vq(x).indices.flatten()
    exact = torch.cdist(x[0].double(), vq.codebook[0].detach().double()).square()
    difference = exact.gather(1, indices.unsqueeze(1)).squeeze(1) - exact.min(1).values
    centre = vq.codebook[0].detach().double().mean(0)
    scale = (x[0].double() - centre).square().sum(1) + (vq.codebook[0].double() - centre).square().sum(1)[indices]
    assert (difference < 1e-5 * scale).all()


@pytest.mark.parametrize("shape", [(6,), (0, 6), (1, 6), (2, 0, 6), (2, 3, 5, 6)])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_any_leading_shape_will_do(shape, normalization):
    vq = bottleneck(normalization=normalization, update="ema")
    for _ in range(2):
        x = torch.randn(shape, requires_grad=True)
        output = vq(x, mask=torch.ones(shape[:-1], dtype=torch.bool))
        assert output.quantized.shape == (*shape[:-1], 4)
        assert output.indices.shape == (*shape[:-1], 1)
        (output.loss + output.quantized.sum()).backward()
        assert x.grad.isfinite().all()
    assert output.loss.isfinite()
    assert all(value.isfinite().all() for value in vq.state_dict().values() if value.is_floating_point())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_vectors_with_non_finite_values_enter_nothing(update, bad):
    schedule = ReestimationSchedule(3, 30, 9)
    options = {"update": update, "normalization": "batch", "reestimation": schedule, "reservoir_size": 60}
    one, other = bottleneck(**options), bottleneck(**options)
    for _ in range(14):
        x = torch.randn(2, 9, 6)
        masked = one(x[:, :8])
        x[:, 8, 3] = bad
        output = other(x)
        assert torch.allclose(output.quantized[:, :8], masked.quantized)
        assert not output.quantized[:, 8].isfinite().any(), "what is not finite must stay visible"
        assert (output.indices[:, 8] == -1).all()
        assert torch.allclose(output.loss, masked.loss)
    assert [event.update for event in other.reestimations] == [3, 12]
    for name, value in one.state_dict().items():
        assert name == "_extra_state" or torch.allclose(value, other.state_dict()[name], atol=1e-5)
    assert torch.allclose(one.learner.reservoir.sample(), other.learner.reservoir.sample(), atol=1e-5)


@pytest.mark.parametrize("huge", [1e20, 1e16])
@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("projection", [True, False])
def test_a_finite_vector_that_float32_cannot_square_enters_nothing_either(update, huge, projection):
    schedule = ReestimationSchedule(3, 30, 9)
    options = {"update": update, "normalization": "batch", "reestimation": schedule, "reservoir_size": 60}
    options |= {"projection": projection, "code_dim": 6}
    one, other = bottleneck(**options), bottleneck(**options)
    for step in range(14):
        x = torch.randn(2, 9, 6)
        mask = torch.ones(2, 9, dtype=torch.bool)
        if step in (1, 5):
            x[0, 8, 3], x[1, 8, 3] = huge, -huge
            mask[:, 8] = False
        expected, output = one(x, mask=mask), other(x)
        assert torch.equal(output.indices, expected.indices)
        assert torch.allclose(output.loss, expected.loss)
        assert torch.allclose(output.quantized[mask], expected.quantized[mask])
        assert not mask.all() or output.quantized.isfinite().all()
    assert [event.update for event in other.reestimations] == [3, 12]
    for name, value in one.state_dict().items():
        assert name == "_extra_state" or torch.allclose(value, other.state_dict()[name], atol=1e-5)


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_training_forwards_in_inference_mode_leave_what_others_leave(update):
    states = []
    for context in (torch.no_grad, torch.inference_mode):
        vq = bottleneck(
            update=update, normalization="batch", reestimation=ReestimationSchedule(4, 9, 3), reservoir_size=60
        )
        for step in range(12):
            x = torch.randn(2, 10, 6, generator=torch.Generator().manual_seed(step))
            with context() if step in (0, 1, 5, 8) else torch.enable_grad():
                output = vq(x)
            if output.loss.requires_grad:
                (output.loss + output.quantized.sum()).backward()
        states.append(vq.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_is_refused_where_it_would_count_twice(reentrant):
    vq = bottleneck()
    x = torch.randn(3, 5, 6, requires_grad=True)
    output = checkpoint(lambda x: vq(x).quantized.sum(), x, use_reentrant=reentrant)
    with pytest.raises(RuntimeError, match=r"activation checkpointing.*leave the bottleneck out"):
        output.backward()
    vq.eval()
    checkpoint(lambda x: vq(x).quantized.sum(), x, use_reentrant=reentrant).backward()
    assert x.grad.any(), "in evaluation nothing is counted"


def test_a_script_and_the_transforms_of_torch_func_are_refused_by_name():
    vq, x = bottleneck(), torch.randn(3, 5, 6)
    for model in (vq, nn.Sequential(vq)):
        with pytest.raises(RuntimeError, match=r"torch\.jit\.script.*torch\.export\.export"):
            torch.jit.script(model)
    for call in (
        lambda: torch.func.vmap(lambda x: vq(x).quantized)(x),
        lambda: torch.func.grad(lambda x: vq(x).loss)(x),
        lambda: torch.func.jvp(lambda x: vq(x).quantized, (x,), (x,)),
    ):
        with pytest.raises(RuntimeError, match=r"VQBottleneck.*torch\.func"):
            call()
    weights = {name: torch.zeros_like(parameter) for name, parameter in vq.named_parameters()}
    assert not torch.func.functional_call(vq.eval(), weights, (x,)).quantized.any()


def test_initial_codebooks_have_the_range_that_was_asked_for():
    for init, bound in (("xavier", (6 / (512 + 4)) ** 0.5), ("uniform", 1 / 512), (0.3, 0.3)):
        codebook = bottleneck(codebook_size=512, codebook_init=init).codebook
        assert codebook.abs().max() <= bound
        assert codebook.abs().max() > 0.98 * bound
        assert codebook.mean().abs() < 0.1 * bound


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"codebook_size": 0}, "codebook_size"),
        ({"num_codebooks": 3}, "num_codebooks"),
        ({"projection": False}, "input_dim"),
        ({"normalization": "layer"}, "normalization"),
        ({"update": "adam"}, "update"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"commitment": -1.0}, "commitment"),
        ({"codebook_init": "normal"}, "codebook_init"),
        ({"codebook_init": 0.0}, "codebook_init"),
        ({"reservoir_size": 7}, "reservoir_size"),
        ({"seeding": "faiss"}, "seeding"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_arguments_are_refused_by_name(options, named):
    with pytest.raises(ValueError, match=named):
        bottleneck(**options)


def test_arguments_of_the_wrong_type_are_refused_by_name():
    with pytest.raises(TypeError, match="codebook_size"):
        bottleneck(codebook_size=8.0)
    with pytest.raises(TypeError, match="reestimation"):
        bottleneck(reestimation=(1, 2, 3))
    with pytest.raises(ValueError, match="6"):
        bottleneck()(torch.randn(2, 3, 5))
    with pytest.raises(TypeError, match="not list"):
        bottleneck()([[0.0] * 6])
    with pytest.raises(TypeError, match="int64"):
        bottleneck()(torch.zeros(2, 3, 6, dtype=torch.int64))


def test_the_linear_bottleneck_is_a_linear_layer_with_the_same_output():
    linear = LinearBottleneck(6, 4)
    x = torch.randn(2, 3, 6)
    output = linear(x, lengths=torch.tensor([3, 1]))
    assert torch.equal(output.quantized[0], linear.projection(x)[0])
    assert torch.equal(output.quantized[1, 1:], torch.zeros(2, 4))
    assert output.indices is None
    assert output.loss == 0
    assert type(output) is type(bottleneck()(x))


def test_without_schedule_and_numbers_the_reservoir_is_as_large_as_promised():
    assert bottleneck().learner.reservoir is None
    schedule = ReestimationSchedule(2, 2, 1)
    assert bottleneck(reestimation=schedule).learner.reservoir.capacity == 20480
    assert bottleneck(reestimation=schedule, codebook_size=2000).learner.reservoir.capacity == 40000
