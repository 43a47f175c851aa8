#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034,SC2154
# Scores what local/decode.sh wrote: <expdir>/scores.json, and with --results the run's tracked results file.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes more_options="dumpdir train_set" dumpdir=dump sets="dev test" train_set=train
usage="usage: local/score.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev test\"] [--train_set train]
       [--results results/<data> --data_label TEXT --command TEXT]"
. ../../utils/score.sh
score_sets --dump "$dumpdir" --probe_set "$train_set"
