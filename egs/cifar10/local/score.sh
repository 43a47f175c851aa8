#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034,SC2119,SC2154
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes,images more_options='' sets=test
usage="usage: local/score.sh --expdir exp/bn_reest_lr-8x128_seed1 [--sets \"test\"]
       [--results results/<data> --data_label TEXT --command TEXT]"
. ../../utils/score.sh
score_sets
