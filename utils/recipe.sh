# shellcheck shell=bash disable=SC2154
# Sourced by every recipe's run.sh and local scripts: messages, paths, stages, runs.

log() { echo "$(date +%H:%M:%S) $*"; }
fail() { echo "$0: error: $*" >&2; exit 1; }

# A path that the user gave, resolved against the folder that the user called from.
absolute() {
  case $1 in
    '' | /*) echo "$1" ;;
    *) echo "$caller/$1" ;;
  esac
}

# resolve_given NAME ...: makes the variables that the user gave as options absolute; defaults stay relative to the recipe.
resolve_given() {
  local name
  for name in "$@"; do
    case " $given_options " in *" $name "*) printf -v "$name" %s "$(absolute "${!name}")" ;; esac
  done
}

# begin_stage NUMBER WHAT: whether the stage is wanted; says so.
begin_stage() {
  [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
  current_stage=$1
  stage_began=$SECONDS
  log "stage $1: $2"
}

end_stage() { log "stage $current_stage: done in $((SECONDS - stage_began)) s${1:+; $1}"; }

# use_environment EXTRAS: the active environment if vqbn imports there, else .venv, made or added to as needed.
use_environment() {
  if [ "$(type -P vqbn-train)" ] && python3 -c 'import vqbn' 2>/dev/null; then return; fi
  "$VQBN_ROOT/tools/setup.sh" --extras "$1"
  export PATH=$VQBN_ROOT/.venv/bin:$PATH
}

# The seven rows of the paper's tables, in their order.
all_variants="vanilla bn bn_lr bn_ema bn_reest bn_reest_lr none"

# Other libraries' quantisers, in the same place.
all_peers="vqp_ema simvq fsq rotation cosine bn_vqp_ema bn_simvq bn_fsq bn_rotation bn_cosine"

# variant_config VARIANT: its configuration file.
variant_config() {
  if [ -f "conf/train_$1.yaml" ]; then echo "conf/train_$1.yaml"; else echo "conf/peers/$1.yaml"; fi
}

# expand_variants: in the list, "all" becomes the seven and "peers" the peers; an unknown one ends the run.
expand_variants() {
  local variant expanded=''
  for variant in $variants; do
    case $variant in
      all) expanded+=" $all_variants" ;;
      peers) expanded+=" $all_peers" ;;
      *) expanded+=" $variant" ;;
    esac
  done
  variants=${expanded# }
  for variant in $variants; do
    [ -f "$(variant_config "$variant")" ] ||
      fail "--variants: there is no conf/train_$variant.yaml; the rows of the paper are: all, $all_variants; peers: $all_peers"
  done
}

# peers_extra EXTRAS: EXTRAS, and the extra of the other libraries where one of the variants needs it.
peers_extra() {
  local variant
  for variant in $variants; do
    case $(variant_config "$variant") in conf/peers/*) echo "$1,peers"; return ;; esac
  done
  echo "$1"
}

# kept_run VARIANT SEED: whether a results file with its configuration is all there is of the run: it was trained elsewhere,
# or exp/ removed. What a run is called says the recipe's own run_name.
kept_run() {
  local name training kept
  name=$(run_name "$1" "$2")
  [ -n "$results" ] && [ -d "$results" ] && [ ! -d "$expdir/$name/checkpoints" ] || return 1
  find_training "$1" "$2"
  # The command has said what is wrong.
  kept=$(vqbn-train "${training[@]}" --print_kept) || exit 1
  [ -n "$kept" ] || return 1
  log "$name is done already: $kept"
}

# run_name VARIANT SEED: says what the run changes in the variant.
run_name() { echo "$1${tag:+-$tag}_seed$2"; }

# find_configs VARIANT: fills the array `configs` with the options that name its configuration files.
find_configs() {
  local config
  configs=()
  for config in $train_config "$(variant_config "$1")"; do configs+=(--config "$config"); done
}

# find_training VARIANT SEED: fills the array `training` with vqbn-train's options for the run. The recipe says in the array
# `train_arguments` where its data is.
find_training() {
  local configs
  find_configs "$1"
  # shellcheck disable=SC2206
  training=("${configs[@]}" "${train_arguments[@]}" --expdir "$expdir/$(run_name "$1" "$2")" --seed "$2"
    --ngpu "$ngpu" --results "$results" $train_options)
}

# begin_run VARIANT SEED: sets $run, the run's folder, and keeps there what the user called first.
begin_run() {
  run=$expdir/$(run_name "$1" "$2")
  mkdir -p "$run"
  [ -f "$run/command.txt" ] || echo "$invocation" >"$run/command.txt"
  log "training $run; its log is $run/job.log"
}

# train_run VARIANT SEED: stage 3; goes on from the last checkpoint, and does nothing if the run is finished.
train_run() {
  local run training
  begin_run "$1" "$2"
  find_training "$1" "$2"
  "$train_cmd" "$run/job.log" vqbn-train "${training[@]}"
}

# decode_run VARIANT SEED: stage 4, with the options in the array `decode_arguments`. score_run VARIANT SEED: stage 5,
# with `score_arguments`.
decode_run() {
  kept_run "$1" "$2" && return
  local/decode.sh --expdir "$expdir/$(run_name "$1" "$2")" "${decode_arguments[@]}"
}

score_run() {
  kept_run "$1" "$2" && return
  local run
  run=$expdir/$(run_name "$1" "$2")
  local/score.sh --expdir "$run" "${score_arguments[@]}" --results "$results" --data_label "$data_label" \
    --command "$(cat "$run/command.txt")"
}

# write_report: stage 6, from the results files, or from the runs where none are kept.
write_report() {
  if [ -n "$results" ]; then
    vqbn-report --results results --out RESULTS.md
  else
    vqbn-report --expdir "$expdir" --data_label "$data_label" --out "$expdir/RESULTS.md"
  fi
}

# run_stages DECODED SCORED: stages 3 to 6, the same for every recipe. The words say what is decoded and what is scored.
run_stages() {
  if begin_stage 3 "training: $variants, seeds $seeds, in $expdir/"; then
    for_each_run train_run
    end_stage
  fi
  if begin_stage 4 "decoding: $1"; then
    for_each_run decode_run
    end_stage "wrote $expdir/*/decode_*/"
  fi
  if begin_stage 5 "scoring: $2"; then
    for_each_run score_run
    end_stage "wrote $expdir/*/scores.json${results:+ and $results/}"
  fi
  if begin_stage 6 "report: RESULTS.md and figures"; then
    write_report
    end_stage
  fi
}

# for_each_run FUNCTION: calls FUNCTION VARIANT SEED for every variant and seed, $nj at a time.
# A run that fails does not stop the others; the stage then fails at its end.
for_each_run() {
  local variant seed running=0 failed=0
  # One run shows its output; several would talk over each other, so each has it in its log alone.
  if [ "$(wc -w <<<"$variants")" -eq 1 ] && [ "$(wc -w <<<"$seeds")" -eq 1 ]; then export VQBN_ECHO=1; else export VQBN_ECHO=0; fi
  for variant in $variants; do
    for seed in $seeds; do
      if [ "$running" -ge "$nj" ]; then
        wait -n || failed=$((failed + 1))
        running=$((running - 1))
      fi
      "$1" "$variant" "$seed" &
      running=$((running + 1))
    done
  done
  while [ "$running" -gt 0 ]; do
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  done
  [ "$failed" -eq 0 ] || fail "stage $current_stage: $failed of the runs failed; their messages are above. Run --stage $current_stage again to go on"
}
