"""The bottleneck in ESPnet2: encoders, a model and a task, by subclassing and ESPnet's own registries.

Importing `vqbn.espnet2.task` makes the names `vqbn_deepspeech2`, `vqbn_wrapped` and `vqbn` known to ESPnet. Nothing
else of vqbn imports ESPnet.
"""

from vqbn.espnet2.lazy import import_lazily

# ESPnet imports it whether it is used or not, and when it is loaded it downloads two corpora: minutes of waiting where
# there is no net.
import_lazily("g2p_en")
