"""What docs/migration.md says of vector-quantize-pytorch and of us, row by row."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

peers = pytest.importorskip("vector_quantize_pytorch")

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
X = torch.randn(4, 50, 8, generator=torch.Generator().manual_seed(0))


def rows() -> dict[str, str]:
    """The first cell of each row of both tables, and the cell that says what is ours."""
    body = PAGE[PAGE.index("## Arguments") : PAGE.index("A codebook that one of them trained")]
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in body.splitlines() if line.startswith("|")]
    return {first: ours for first, _, ours in cells if first[0] not in "v-" or ours == "`codebook_weight` (1.0)"}


def theirs(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return peers.VectorQuantize(**({"dim": 8, "codebook_size": 16} | options))


def ours(**options) -> VQBottleneck:
    torch.manual_seed(0)
    defaults = {"input_dim": 8, "code_dim": 8, "codebook_size": 16, "projection": False}
    return VQBottleneck(**(defaults | options))


def moved(layer: torch.nn.Module, forwards: int = 2) -> bool:
    """Whether training forwards alone change the codebook; ours does with the second what the first left to do."""
    before = layer.codebook.detach().clone()
    for _ in range(forwards):
        layer(X)
    return not torch.equal(layer.codebook, before)


def same_codewords(**options) -> tuple[torch.nn.Module, VQBottleneck]:
    """Both with the same codebook, in evaluation."""
    one = theirs(**options).eval()
    return one, VQBottleneck.from_codebook(one.codebook.detach().reshape(-1, 16, one.codebook.shape[-1])).eval()


def dimension():
    assert ours(input_dim=8)(X).quantized.shape == theirs(dim=8)(X)[0].shape == X.shape
    with pytest.raises(ValueError, match="must be 8"):
        ours(input_dim=8)(X[..., :7])


def size():
    assert ours(codebook_size=32).codebook.shape[-2] == theirs(codebook_size=32).codebook.shape[-2] == 32


def code_dimension():
    there = theirs(codebook_dim=4, heads=2, separate_codebook_per_head=True)
    assert there.codebook.shape == (2, 16, 4)
    assert there(X)[0].shape[-1] == 8, "projected in and out"
    here = ours(code_dim=4, num_codebooks=2, projection=True)
    assert here.codebook.shape == (2, 16, 2)
    assert here(X).quantized.shape[-1] == 4


def heads():
    assert theirs(heads=2).codebook.shape[0] == 16, "one that both heads share"
    assert theirs(heads=2, separate_codebook_per_head=True).codebook.shape[0] == 2
    assert ours(num_codebooks=2).codebook.shape[0] == 2


def gradients():
    there = theirs(learnable_codebook=True, ema_update=False)
    there(X)[2].sum().backward()
    here = ours()
    here(X).loss.backward()
    assert here.update == "gradient"
    assert any(parameter.grad.any() for parameter in there.parameters())
    assert here.codebook.grad.any()


def moving_averages():
    assert moved(theirs())
    assert moved(ours(update="ema"))
    assert not moved(ours())


def decay():
    assert inspect.signature(VQBottleneck).parameters["ema_decay"].default == 0.99
    assert not moved(theirs(decay=1.0))
    here = ours(update="ema", ema_decay=0.9)
    here(X[:1, :1])
    here(X[:1, :1])
    # One codeword took the vector, and the others' counts, which began at 1, decayed.
    assert torch.allclose(here.ema_counts.sort().values, torch.tensor([0.9] * 15 + [1.0]))


def smoothing():
    here = ours(update="ema", codebook_init=1.0)
    before = here.codebook.clone()
    for _ in range(3):
        indices = here(X[:1, :4]).indices
    unused = torch.ones(16, dtype=torch.bool).index_fill(0, indices.flatten(), False)
    assert unused.any()
    assert torch.allclose(here.codebook[0][unused], before[0][unused])
    assert not torch.allclose(here.codebook[0][~unused], before[0][~unused])


def commitment():
    there, here = same_codewords()
    mean = (X - there(X)[0]).square().mean()
    assert torch.allclose(there.train()(X)[2].sum(), mean)
    moving = VQBottleneck.from_codebook(here.codebook[0], update="ema", commitment=0.25)
    assert torch.allclose(moving(X).loss, 0.25 * mean)


def codebook_term():
    assert torch.allclose(ours(commitment=0.0, codebook_weight=2.0)(X).loss, 2 * ours(commitment=0.0)(X).loss)


def clusterings():
    there = theirs(kmeans_init=True)
    there(X)
    assert (there(X)[2] < theirs()(X)[2]).all()
    here = ours(reestimation=ReestimationSchedule(start=2, until=2, every=1))
    for _ in range(5):
        here(X)
    assert [event.update for event in here.reestimations] == [2]


def dead_codes():
    there = theirs(threshold_ema_dead_code=2)
    before = there.codebook.clone()
    there(X[:1, :30] + 100)
    assert (there.codebook.norm(dim=-1) > 10 * before.norm()).sum() > 1, "the batch's vectors in their place"
    smoothing()


def processes():
    assert ours().process_group is None


def frozen():
    assert not moved(theirs(freeze_codebook=True))
    for update in ("gradient", "ema"):
        here = ours(update=update, projection=True, reestimation=ReestimationSchedule(2, 9, 2))
        assert moved(here, 5)
        here.codebook_frozen = True
        optimizer = torch.optim.SGD(here.parameters(), 0.1)
        before, weight = here.codebook.clone(), here.projection.weight.clone()
        for _ in range(5):
            optimizer.zero_grad()
            output = here(X)
            (output.loss + output.quantized.sum()).backward()
            optimizer.step()
        assert torch.equal(here.codebook, before)
        assert not torch.equal(here.projection.weight, weight)
        assert not moved(here.eval(), 5)


def two_learning_rates():
    groups = parameter_groups(ours(projection=True), 0.1, 0.5)
    assert sorted(group["lr"] for group in groups) == [0.1, 0.5]


def averages_by_hand():
    assert not moved(theirs(manual_ema_update=True))
    here = ours(update="ema")
    optimizer = torch.optim.SGD(here.parameters(), 0.1)
    here.follow(optimizer)
    assert not moved(here)
    before = here.codebook.clone()
    optimizer.step()
    assert here.updates == 1
    assert not torch.equal(here.codebook, before)


def straight_through():
    assert theirs().rotation_trick
    x = X.clone().requires_grad_()
    ours()(x).quantized.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def cosine():
    assert torch.allclose(theirs(use_cosine_sim=True).codebook.norm(dim=-1), torch.tensor(1.0))
    plain = ours(normalization="batch", codebook_init=1.0)(5 + 3 * X)
    again = ours(normalization="batch", codebook_init=1.0, denormalize=True)(5 + 3 * X)
    assert torch.equal(plain.indices, again.indices)
    assert (again.quantized - 5 - 3 * X).square().mean() < (plain.quantized - 5 - 3 * X).square().mean()


def normalization():
    theirs(layernorm_after_project_in=True, codebook_dim=4)(X)
    assert torch.equal(
        ours(normalization="batch", projection=True)(X).indices,
        ours(normalization="batch", projection=True)(7 * X).indices,
    )


def images():
    there, here = same_codewords(accept_image_fmap=True)
    image = X.view(4, 5, 10, 8).permute(0, 3, 1, 2)
    found = here(image.movedim(1, -1))
    assert torch.equal(there(image)[1], found.indices[..., 0])
    assert torch.allclose(there(image)[0], found.quantized.movedim(-1, 1), atol=1e-6)


def stages():
    assert peers.ResidualVQ(dim=8, codebook_size=16, num_quantizers=3)(X)[1].shape[-1] == 3
    assert ours(num_codebooks=2).codebook.shape[-1] == 4


def call():
    there, here = same_codewords()
    quantized, indices, _ = there(X)
    found, found_indices, loss = here(X)
    assert torch.allclose(quantized, found, atol=1e-6)
    assert torch.equal(indices, found_indices[..., 0])
    assert loss.shape == ()


def padding():
    there, here = same_codewords()
    lengths = torch.tensor([50, 20, 3, 1])
    mask = torch.arange(50) < lengths[:, None]
    for options, expected in (({"mask": mask}, {"mask": mask}), ({"lengths": lengths}, {"lens": lengths})):
        assert torch.equal(here(X, **options).indices[mask][:, 0], there(X, **expected)[1][mask])


def decoding():
    there, here = same_codewords()
    indices = there(X)[1]
    assert torch.allclose(here.decode_indices(indices[..., None]), there.get_output_from_indices(indices), atol=1e-6)


def codebook():
    there, here = same_codewords()
    assert there.codebook.shape == (16, 8)
    assert here.codebook.shape == (1, 16, 8)


def frozen_call():
    there, here = theirs(), ours(update="ema").eval()
    before = there.codebook.clone()
    there(X, freeze_codebook=True)
    assert torch.equal(there.codebook, before)
    assert not moved(here)


CHECKS: dict[str, Callable[[], None]] = {
    "`dim`": dimension,
    "`codebook_size`": size,
    "`codebook_dim`": code_dimension,
    "`heads` with `separate_codebook_per_head=True`": heads,
    "`learnable_codebook=True`, `ema_update=False`": gradients,
    "`ema_update=True` (the default)": moving_averages,
    "`decay` (0.8)": decay,
    "`eps`": smoothing,
    "`commitment_weight` (1.0)": commitment,
    "-": codebook_term,
    "`kmeans_init`, `kmeans_iters`": clusterings,
    "`threshold_ema_dead_code`": dead_codes,
    "`sync_codebook`, `sync_kmeans`": processes,
    "`freeze_codebook=True`": frozen,
    "`in_place_codebook_optimizer`": two_learning_rates,
    "`manual_ema_update`": averages_by_hand,
    "`rotation_trick`, `directional_reparam`": straight_through,
    "`use_cosine_sim`": cosine,
    "`layernorm_after_project_in`": normalization,
    "`accept_image_fmap`, `channel_last`": images,
    "`ResidualVQ(num_quantizers=n)`": stages,
    "`quantized, indices, loss = vq(x)`": call,
    "`vq(x, mask=mask)`, `vq(x, lens=lens)`": padding,
    "`vq.get_output_from_indices(indices)`": decoding,
    "`vq.codebook`": codebook,
    "`vq(x, freeze_codebook=True)`": frozen_call,
}


@pytest.mark.parametrize("row", rows())
def test_what_a_row_says_holds(row):
    mine = rows()[row]
    if mine == "-":
        # There is no such thing here: at least not by their name.
        names = set(re.findall(r"`(\w+)", row))
        assert not names & inspect.signature(VQBottleneck).parameters.keys()
        CHECKS.get(row, lambda: None)()
        return
    CHECKS[row]()


def test_there_is_a_row_for_every_check():
    assert CHECKS.keys() <= rows().keys()
