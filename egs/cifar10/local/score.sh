#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir sets results data_label command"
expdir='' sets=test results='' data_label='' command=''
usage="usage: local/score.sh --expdir exp/bn_reest_lr-8x128_seed1 [--sets \"test\"]
       [--results results/<data> --data_label TEXT --command TEXT]"
. ../../utils/parse_options.sh
. ./path.sh
[ -n "$expdir" ] || fail "--expdir names the run to score, for example exp/bn_reest_lr-8x128_seed1"
resolve_given expdir results
use_environment recipes,images

set_options=()
for set in $sets; do set_options+=(--set "$set"); done
vqbn-score-images --expdir "$expdir" "${set_options[@]}" \
  ${results:+--results "$results"} ${data_label:+--data_label "$data_label"} ${command:+--command "$command"}
