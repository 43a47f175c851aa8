# shellcheck shell=bash source-path=SCRIPTDIR disable=SC2154
# Sourced by every recipe's run.sh and local scripts: messages, paths, stages, runs.

. "${BASH_SOURCE[0]%/*}/split_words.sh"

# An interrupt ends a script with status 130 and one line, which the outermost script says for all that it calls. Not in
# a shell that somebody types in and where path.sh is sourced.
if [[ $- != *i* ]]; then
  trap 'exit 130' INT
  if [ -z "${VQBN_SCRIPT:-}" ]; then
    export VQBN_SCRIPT=$0
    trap 'say_stopped $?' EXIT
  fi
fi

say_stopped() {
  [ "$1" -ne 130 ] || echo "$0: stopped${current_stage:+ in stage $current_stage}; the same command goes on" >&2
}

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

# full PATH: from the recipe's folder to an absolute path, for messages that must hold elsewhere.
full() {
  case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
  esac
}

# shown PATH: as it can be pasted where the user called from.
shown() { printf %q "$(realpath -ms --relative-base="${caller:-$PWD}" "$1")"; }

# begin_stage NUMBER WHAT: whether the stage is wanted; says so.
begin_stage() {
  [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
  current_stage=$1
  stage_began=$SECONDS
  log "stage $1: $2"
}

end_stage() { log "stage $current_stage: done in $((SECONDS - stage_began)) s${1:+; $1}"; }

# find_job NAME: fills the array `job` with what cmd.sh's variable NAME holds: a command and options.
find_job() {
  local runner=$VQBN_ROOT/utils/run_job.sh
  # The path to this folder may have blanks, and nobody quotes it in cmd.sh.
  case ${!1} in
    "$runner" | "$runner "*) split_words job "${!1#"$runner"}" "$1 in cmd.sh" && job=("$runner" "${job[@]}") ;;
    *) split_words job "${!1}" "$1 in cmd.sh" ;;
  esac || exit 1
  [ "${#job[@]}" -gt 0 ] || fail "$1 in cmd.sh: found nothing, expected a command such as $runner"
  type -P "${job[0]}" >/dev/null || fail "$1 in cmd.sh: there is no command ${job[0]}; ours is $runner"
}

# run_job NAME LOG COMMAND ...: runs a command with a log as cmd.sh's variable NAME says.
run_job() {
  local job
  find_job "$1"
  "${job[@]}" "$(full "$2")" "${@:3}"
}

# runs_here NAME: whether the jobs of cmd.sh's variable NAME run on this machine, as far as we know.
runs_here() {
  local job
  find_job "$1"
  [ "$(type -P "${job[0]}")" -ef "$VQBN_ROOT/utils/run_job.sh" ] && [ "$("${job[@]}" --print_backend)" = run ]
}

# prepare LOG COMMAND ...: the heavy work of stages 0 to 2, at the scheduler where there is one.
prepare() {
  if runs_here prepare_cmd; then "${@:2}"; else run_job prepare_cmd "$@"; fi
}

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

# find_train_config: fills the array `train_configs` with the files of --train_config: one whose path may have blanks, or
# several, divided as by a shell. What the user gave is looked for in his folder, then in the recipe's.
find_train_config() {
  local files=("$train_config") file
  [ -f "$train_config" ] || [ -f "$(absolute "$train_config")" ] ||
    split_words files "$train_config" --train_config || exit 1
  train_configs=()
  for file in "${files[@]}"; do
    case " $given_options " in
      *" train_config "*) [ ! -f "$(absolute "$file")" ] || file=$(absolute "$file") ;;
    esac
    [ -f "$file" ] || fail "--train_config: there is no file $file in $caller or $PWD; \
quote a path with blanks that is one of several"
    train_configs+=("$file")
  done
}

# find_configs VARIANT: fills the array `configs` with the options that name its configuration files.
find_configs() {
  local config
  configs=()
  for config in "${train_configs[@]}" "$(variant_config "$1")"; do configs+=(--config "$config"); done
}

# find_training VARIANT SEED: fills the array `training` with vqbn-train's options for the run. The recipe says in the array
# `train_arguments` where its data is.
find_training() {
  local configs more
  split_words more "$train_options" --train_options || exit 1
  find_configs "$1"
  training=("${configs[@]}" "${train_arguments[@]}" --expdir "$expdir/$(run_name "$1" "$2")" --seed "$2"
    --ngpu "$ngpu" --results "$results" "${more[@]}")
}

# begin_run VARIANT SEED: sets $run, the run's folder, and keeps there what the user called first.
begin_run() {
  run=$expdir/$(run_name "$1" "$2")
  mkdir -p "$run"
  [ -f "$run/command.txt" ] || echo "$invocation" >"$run/command.txt"
  log "training $(shown "$run"); its log is $(shown "$run/job.log")"
}

# train_run VARIANT SEED: stage 3; goes on from the last checkpoint, and does nothing if the run is finished.
train_run() {
  local run training
  begin_run "$1" "$2"
  find_training "$1" "$2"
  run_job train_cmd "$run/job.log" vqbn-train "${training[@]}"
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
  if begin_stage 3 "training: $variants, seeds $seeds, in $(shown "$expdir")/"; then
    for_each_run train_run
    end_stage "wrote $(shown "$expdir")/*/checkpoints/"
  fi
  if begin_stage 4 "decoding: $1"; then
    for_each_run decode_run
    end_stage "wrote $(shown "$expdir")/*/decode_*/"
  fi
  if begin_stage 5 "scoring: $2"; then
    for_each_run score_run
    end_stage "wrote $(shown "$expdir")/*/scores.json${results:+ and $(shown "$results")/}"
  fi
  if begin_stage 6 "report: RESULTS.md and figures"; then
    write_report
    if [ -n "$results" ]; then end_stage "wrote $(shown RESULTS.md)"; else end_stage "wrote $(shown "$expdir/RESULTS.md")"; fi
  fi
}

# visible_gpus: fills the array `gpus` with those that a program on this machine would see.
visible_gpus() {
  gpus=()
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    IFS=', ' read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
  elif [ "$(type -P nvidia-smi)" ]; then
    mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)
  fi
}

# share_gpus RUNS: where RUNS trainings use this machine's GPUs, fills the array `shares` with those of each of the
# trainings that go on at a time, and makes that number, `at_a_time`, as small as the GPUs ask for.
share_gpus() {
  local gpus slot
  [ "$ngpu" -gt 0 ] && runs_here train_cmd || return 0
  visible_gpus
  # Too few for one: vqbn-train says so.
  [ "${#gpus[@]}" -ge "$ngpu" ] || return 0
  if [ $((at_a_time * ngpu)) -gt "${#gpus[@]}" ]; then
    at_a_time=$((${#gpus[@]} / ngpu))
    [ "$1" -le "$at_a_time" ] || log "GPUs here: ${#gpus[@]}; trainings at a time, of $ngpu each: $at_a_time"
  fi
  for ((slot = 0; slot < at_a_time; slot++)); do shares[slot]=$(IFS=,; echo "${gpus[*]:slot * ngpu:ngpu}"); done
}

# signal_runs SIGNAL: to all processes of the runs that for_each_run has started.
signal_runs() {
  local run
  for run in "${runs[@]}" ${!:+$!}; do kill "-$1" -- "-$run" 2>/dev/null || true; done
}

# stop_runs STATUS: interrupts the runs, waits for them and ends the script; called again, it doesn't wait.
stop_runs() {
  trap 'signal_runs KILL; exit 130' INT TERM HUP
  signal_runs INT
  wait
  exit "$1"
}

# for_each_run FUNCTION: calls FUNCTION VARIANT SEED for every variant and seed, $nj at a time; in stage 3, each with GPUs
# of its own. A run that fails does not stop the others; the stage then fails at its end.
for_each_run() {
  local variant seed slot running=0 failed=0 at_a_time=$nj count runs=() shares=()
  count=$(($(wc -w <<<"$variants") * $(wc -w <<<"$seeds")))
  # One run shows its output; several would talk over each other, so each has it in its log alone.
  if [ "$count" -eq 1 ]; then export VQBN_ECHO=1; else export VQBN_ECHO=0; fi
  [ "$current_stage" -ne 3 ] || share_gpus "$count"
  trap 'stop_runs 130' INT
  trap 'stop_runs 143' TERM
  trap 'stop_runs 129' HUP
  for variant in $variants; do
    for seed in $seeds; do
      if [ "$running" -ge "$at_a_time" ]; then
        wait -n || failed=$((failed + 1))
        running=$((running - 1))
      fi
      slot=0
      while [ -n "${runs[slot]:-}" ] && kill -0 "${runs[slot]}" 2>/dev/null; do slot=$((slot + 1)); done
      # With job control a run is a process group of its own, which stop_runs can reach; without it, it ignores interrupts.
      set -m
      {
        [ -z "${shares[slot]:-}" ] || export VQBN_GPUS=${shares[slot]}
        "$1" "$variant" "$seed"
      } &
      runs[slot]=$!
      set +m
      running=$((running + 1))
    done
  done
  while [ "$running" -gt 0 ]; do
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
  done
  trap 'exit 130' INT
  trap - TERM HUP
  [ "$failed" -eq 0 ] || fail "stage $current_stage: $failed of the runs failed; their messages are above. Run --stage $current_stage again to go on"
}
