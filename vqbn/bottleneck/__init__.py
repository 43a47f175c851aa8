"""Vector-quantised bottlenecks that do not collapse, for any PyTorch model."""

from vqbn.bottleneck.diagnosis import Diagnosis, diagnose
from vqbn.bottleneck.groups import parameter_groups
from vqbn.bottleneck.kmeans import kmeans
from vqbn.bottleneck.linear import LinearBottleneck
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.metrics import perplexity, uniform_nelbo, unigram_nelbo
from vqbn.bottleneck.normalization import MaskedBatchNorm
from vqbn.bottleneck.output import BottleneckOutput
from vqbn.bottleneck.quantizer import VQBottleneck
from vqbn.bottleneck.reestimation import Reestimation
from vqbn.bottleneck.reservoir import Reservoir
from vqbn.bottleneck.schedule import ReestimationSchedule

__all__ = [
    "BottleneckOutput",
    "Diagnosis",
    "LinearBottleneck",
    "MaskedBatchNorm",
    "Reestimation",
    "ReestimationSchedule",
    "Reservoir",
    "VQBottleneck",
    "diagnose",
    "kmeans",
    "nearest_codes",
    "parameter_groups",
    "perplexity",
    "uniform_nelbo",
    "unigram_nelbo",
]
