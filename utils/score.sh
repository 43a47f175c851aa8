# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# Sourced by a recipe's local/score.sh: options, environment, and score_sets.
# The script sets: caller, extras, sets, $usage; more_options, with a default for each; and stands in the recipe's folder.
options="expdir sets results data_label command $more_options"
expdir='' results='' data_label='' command=''
. ../../utils/parse_options.sh
. ./path.sh
[ -n "$expdir" ] || fail "--expdir names the run to score, for example exp/bn_reest_lr_seed1"
resolve_given expdir dumpdir results
use_environment "$extras"

# score_sets OPTION ...: scores $sets together, with the task's own options.
score_sets() {
  local set options=()
  for set in $sets; do options+=(--set "$set"); done
  vqbn-score --expdir "$expdir" "${options[@]}" ${results:+--results "$results"} \
    ${data_label:+--data_label "$data_label"} ${command:+--command "$command"} "$@"
}
