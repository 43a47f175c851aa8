#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Decodes whole utterances with a trained model: hypotheses, references and code indices in <expdir>/decode_<set>/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir dumpdir sets checkpoint beam"
expdir='' dumpdir=dump sets=dev checkpoint=best beam=0
usage="usage: local/decode.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev\"] [--checkpoint best|last|FILE]
       [--beam N]   a prefix beam search of N, into decode_<set>_beam<N>; 0, the default, reads the best path"
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
[ -n "$expdir" ] || fail "--expdir names the run to decode, for example exp/bn_reest_lr_seed1"
expdir=$(absolute "$expdir") dumpdir=$(absolute "$dumpdir")
use_environment recipes

for set in $sets; do
  VQBN_ECHO=${VQBN_ECHO:-1} "$decode_cmd" "$expdir/decode_$set.log" \
    vqbn-decode --expdir "$expdir" --dump "$dumpdir" --set "$set" --checkpoint "$checkpoint" --beam "$beam"
done
