#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034,SC2154
# Scores every pixel of whole lines with a trained model, and draws some of the last set from their codes:
# <expdir>/decode_<set>/ and <expdir>/images/. Of the training lines it writes the codes alone, which the probe learns on.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes more_options="dumpdir train_set pictures"
dumpdir=dump sets="dev test" train_set=train pictures=3
usage="usage: local/decode.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev test\"] [--train_set train]
       [--checkpoint best|last|FILE] [--pictures N]"
. ../../utils/decode.sh
for set in $sets; do
  drawn=0
  [ "$set" != "${sets##* }" ] || drawn=$pictures
  decode_set "$set" --dump "$dumpdir" --pictures "$drawn"
done
[ -z "$train_set" ] || decode_set "$train_set" --dump "$dumpdir" --codes_only
