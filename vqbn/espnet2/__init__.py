"""The bottleneck in ESPnet2: encoders, a model and a task, by subclassing and ESPnet's own registries.

Importing `vqbn.espnet2.task` makes the names `vqbn_deepspeech2`, `vqbn_wrapped` and `vqbn` known to ESPnet. Nothing
else of vqbn imports ESPnet.
"""

from vqbn.espnet2.downloads import import_without_downloads

# ESPnet imports it whether it is used or not, and it looks for two corpora on the net: minutes, where there is none.
import_without_downloads("g2p_en")
