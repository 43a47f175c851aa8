#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir dumpdir sets beam results data_label command"
expdir='' dumpdir=dump sets=dev beam=0 results='' data_label='' command=''
usage="usage: local/score.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev\"]
       [--results results/<data> --data_label TEXT --command TEXT]
       [--beam N]   what local/decode.sh --beam N wrote, as <set>_beam<N>, beside the best path's"
. ../../utils/parse_options.sh
. ./path.sh
[ -n "$expdir" ] || fail "--expdir names the run to score, for example exp/bn_reest_lr_seed1"
expdir=$(absolute "$expdir") dumpdir=$(absolute "$dumpdir")
use_environment recipes

set_options=()
for set in $sets; do set_options+=(--set "$set"); done
vqbn-score --expdir "$expdir" --dump "$dumpdir" "${set_options[@]}" --beam "$beam" \
  ${results:+--results "$(absolute "$results")"} ${data_label:+--data_label "$data_label"} ${command:+--command "$command"}
