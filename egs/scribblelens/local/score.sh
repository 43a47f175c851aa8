#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir dumpdir sets train_set results data_label command"
expdir='' dumpdir=dump sets="dev test" train_set=train results='' data_label='' command=''
usage="usage: local/score.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev test\"] [--train_set train]
       [--results results/<data> --data_label TEXT --command TEXT]"
. ../../utils/parse_options.sh
. ./path.sh
[ -n "$expdir" ] || fail "--expdir names the run to score, for example exp/bn_reest_lr_seed1"
expdir=$(absolute "$expdir") dumpdir=$(absolute "$dumpdir")
use_environment recipes

set_options=()
for set in $sets; do set_options+=(--set "$set"); done
vqbn-score-handwriting --expdir "$expdir" --dump "$dumpdir" "${set_options[@]}" --probe_set "$train_set" \
  ${results:+--results "$(absolute "$results")"} ${data_label:+--data_label "$data_label"} ${command:+--command "$command"}
