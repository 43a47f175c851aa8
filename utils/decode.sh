# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# Sourced by a recipe's local/decode.sh: options, environment, and decode_set.
# The script sets: caller, extras, sets, $usage; more_options, with a default for each; and stands in the recipe's folder.
options="expdir sets checkpoint $more_options"
expdir='' checkpoint=best
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
[ -n "$expdir" ] || fail "--expdir names the run to decode, for example exp/bn_reest_lr_seed1"
resolve_given expdir dumpdir datadir
case $checkpoint in best | last) ;; *) checkpoint=$(absolute "$checkpoint") ;; esac
use_environment "$extras"

# decode_set SET OPTION ...: takes a set through the model, with the task's own options.
decode_set() {
  VQBN_ECHO=${VQBN_ECHO:-1} run_job decode_cmd "$expdir/decode_$1.log" \
    vqbn-decode --expdir "$expdir" --set "$1" --checkpoint "$checkpoint" "${@:2}"
}
