#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Takes a set through a trained model: codes and likelihoods in <expdir>/decode_<set>/, pictures in <expdir>/images/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir datadir sets checkpoint"
expdir='' datadir=data sets=test checkpoint=best
usage="usage: local/decode.sh --expdir exp/bn_reest_lr-8x128_seed1 [--datadir data] [--sets \"test\"]
       [--checkpoint best|last|FILE]"
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
[ -n "$expdir" ] || fail "--expdir names the run to decode, for example exp/bn_reest_lr-8x128_seed1"
resolve_given expdir datadir
case $checkpoint in best | last) ;; *) checkpoint=$(absolute "$checkpoint") ;; esac
use_environment recipes,images

for set in $sets; do
  VQBN_ECHO=${VQBN_ECHO:-1} "$decode_cmd" "$expdir/decode_$set.log" \
    vqbn-reconstruct --expdir "$expdir" --images "$datadir" --set "$set" --checkpoint "$checkpoint"
done
