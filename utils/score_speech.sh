#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034,SC2154
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
# A link in a speech recipe's local/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes more_options="dumpdir beam" dumpdir=dump sets=dev beam=0
usage="usage: local/score.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev\"]
       [--results results/<data> --data_label TEXT --command TEXT]
       [--beam N]   what local/decode.sh --beam N wrote, as <set>_beam<N>, beside the best path's"
. ../../utils/score.sh
score_sets --dump "$dumpdir" --beam "$beam"
