#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Decodes whole utterances with a trained model: hypotheses, references and code indices in <expdir>/decode_<set>/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir dumpdir sets checkpoint"
expdir='' dumpdir=dump sets=dev checkpoint=best
usage="usage: local/decode.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev\"] [--checkpoint best|last|FILE]"
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
[ -n "$expdir" ] || fail "--expdir names the run to decode, for example exp/bn_reest_lr_seed1"
expdir=$(absolute "$expdir") dumpdir=$(absolute "$dumpdir")
use_environment recipes

for set in $sets; do
  VQBN_ECHO=${VQBN_ECHO:-1} "$decode_cmd" "$expdir/decode_$set.log" \
    vqbn-decode --expdir "$expdir" --dump "$dumpdir" --set "$set" --checkpoint "$checkpoint"
done
