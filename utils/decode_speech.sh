#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034,SC2154
# Decodes whole utterances with a trained model: hypotheses, references and code indices in <expdir>/decode_<set>/.
# A link in a speech recipe's local/.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=recipes more_options="dumpdir beam" dumpdir=dump sets=dev beam=0
usage="usage: local/decode.sh --expdir exp/bn_reest_lr_seed1 [--dumpdir dump] [--sets \"dev\"] [--checkpoint best|last|FILE]
       [--beam N]   a prefix beam search of N, into decode_<set>_beam<N>; 0, the default, reads the best path"
. ../../utils/decode.sh
for set in $sets; do decode_set "$set" --dump "$dumpdir" --beam "$beam"; done
