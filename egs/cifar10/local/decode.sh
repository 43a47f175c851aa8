#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034,SC2154
# Takes a set through a trained model: codes and likelihoods in <expdir>/decode_<set>/, pictures in <expdir>/images/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes,images more_options=datadir datadir=data sets=test
usage="usage: local/decode.sh --expdir exp/bn_reest_lr-8x128_seed1 [--datadir data] [--sets \"test\"]
       [--checkpoint best|last|FILE]"
. ../../utils/decode.sh
for set in $sets; do decode_set "$set" --images "$datadir"; done
