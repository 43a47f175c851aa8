"""Drawing with cached activations against running the network on its receptive field for each pixel.

Run as a program: prints both times for a piece of 32 × 64 pixels, their ratio, and the largest difference of logits;
then the time for a whole line, and how far its logits are from those of one forward on the finished line.
"""

import argparse
from time import process_time as clock

import torch
from torch import Tensor

from vqbn.nets.pixelcnn import PixelCNN
from vqbn.nets.pixelcnn_sampling import draw


@torch.no_grad()
def logits_by_receptive_field(model: PixelCNN, pixels: Tensor, condition: Tensor, places: list[tuple[int, int]]):
    """The logits at some places of one line, each from a forward on all that the pixel depends on and no more.

    That is 10 columns before and 10 rows above and below, for 7 layers. The rows of the biases go with the crop.
    """
    reach = 3 + len(model.layers)
    height = pixels.shape[2]
    result = []
    for t, r in places:
        first, top, bottom = max(0, t - reach), max(0, r - reach), min(height, r + reach + 1)
        crop = pixels[:, first : t + 1, top:bottom]
        spread = condition.repeat_interleave(model.repeat, dim=1)[:, first : t + 1]
        with cropped(model, top, bottom):
            result.append(model(crop, spread)[0, -1, r - top])
    return torch.stack(result)


class cropped:
    """The model with one latent per column and the biases of some rows only."""

    def __init__(self, model: PixelCNN, top: int, bottom: int):
        self.model, self.rows = model, slice(top, bottom)
        self.kept: list[tuple[torch.nn.Parameter, Tensor]] = []

    def __enter__(self):
        biases = [self.model.bias, *(b for layer in self.model.layers for b in (layer.v_bias, layer.h_bias))]
        for bias in biases:
            self.kept.append((bias, bias.data))
            bias.data = bias.data[..., self.rows]
        self.repeat, self.model.repeat = self.model.repeat, 1

    def __exit__(self, *_):
        for bias, data in self.kept:
            bias.data = data
        self.model.repeat = self.repeat


def compare(columns: int = 64, every: int = 1, seed: int = 0, **sizes: int) -> dict[str, float]:
    """Draw one line, then find its logits again the slow way.

    Args:
        columns: of the line.
        every: the slow way visits each `every`-th pixel; its time is scaled accordingly.
        seed: of weights, latents and samples.
        sizes: of the PixelCNN; the authors' by default.
    """
    torch.manual_seed(seed)
    model = PixelCNN(**sizes).eval()
    condition = torch.randn(1, -(-columns // 4), 64)
    draw(model, condition, 2)
    start = clock()
    drawn = draw(model, condition, columns, generator=torch.Generator().manual_seed(seed))
    cached = clock() - start
    places = [(t, r) for t in range(columns) for r in range(32)][::every]
    start = clock()
    slow = logits_by_receptive_field(model, drawn.pixels, condition, places)
    again = (clock() - start) * every
    fast = torch.stack([drawn.logits[0, t, r] for t, r in places])
    return {
        "cached_s": cached,
        "again_s": again,
        "ratio": again / cached,
        "difference": float((fast - slow).abs().max()),
        "largest_logit": float(slow.abs().max()),
    }


@torch.no_grad()
def whole_line(columns: int, seed: int = 0) -> dict[str, float]:
    """Draw a line with a model of the authors' size."""
    torch.manual_seed(seed)
    model = PixelCNN().eval()
    condition = torch.randn(1, -(-columns // model.repeat), 64)
    start = clock()
    drawn = draw(model, condition, columns, generator=torch.Generator().manual_seed(seed))
    seconds = clock() - start
    difference = float((model(drawn.pixels, condition) - drawn.logits).abs().max())
    return {"line_columns": columns, "line_s": seconds, "line_difference": difference}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=64, help="of the line, 32 rows high (default: 64)")
    parser.add_argument("--every", type=int, default=1, help="visit each N-th pixel the slow way (default: 1)")
    parser.add_argument("--line_columns", type=int, default=800, help="of the whole line (default: 800)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, value in {**compare(args.columns, args.every), **whole_line(args.line_columns)}.items():
        print(f"{name:15} {value:.4g}")
