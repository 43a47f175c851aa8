#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Scores every pixel of whole lines with a trained model, and draws some of the last set from their codes:
# <expdir>/decode_<set>/ and <expdir>/images/. Of the training lines it writes the codes alone, which the probe learns on.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="expdir dumpdir sets train_set checkpoint pictures"
expdir='' dumpdir=dump sets="dev test" train_set=train checkpoint=best pictures=3
usage="usage: local/decode.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev test\"] [--train_set train]
       [--checkpoint best|last|FILE] [--pictures N]"
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
[ -n "$expdir" ] || fail "--expdir names the run to decode, for example exp/bn_reest_lr_seed1"
expdir=$(absolute "$expdir") dumpdir=$(absolute "$dumpdir")
use_environment recipes

for set in $sets; do
  drawn=0
  [ "$set" != "${sets##* }" ] || drawn=$pictures
  VQBN_ECHO=${VQBN_ECHO:-1} "$decode_cmd" "$expdir/decode_$set.log" \
    vqbn-decode-handwriting --expdir "$expdir" --dump "$dumpdir" --set "$set" --checkpoint "$checkpoint" \
    --pictures "$drawn"
done
if [ -n "$train_set" ]; then
  VQBN_ECHO=${VQBN_ECHO:-1} "$decode_cmd" "$expdir/decode_$train_set.log" \
    vqbn-decode-handwriting --expdir "$expdir" --dump "$dumpdir" --set "$train_set" --checkpoint "$checkpoint" \
    --codes_only
fi
