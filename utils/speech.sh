# shellcheck shell=bash disable=SC2154
# Sourced by the speech recipes: stages 1 to 6, which differ between corpora only in their sets and files.

# set_options: `--set DIR` for each set of the corpus.
set_options() {
  local set
  for set in $data_sets; do printf -- '--set\n%s\n' "$datadir/$set"; done
}

# import_alignments [ALIGNER_OPTION ...]: stage 1, from Kaldi's folder, else with an aligner that pip installs.
import_alignments() {
  local sets
  mapfile -t sets < <(set_options)
  if [ -n "$kaldi_exp" ]; then
    vqbn-import-alignments --kaldi_exp "$kaldi_exp" "${sets[@]}" --max_bad "$max_bad"
    echo kaldi >"$datadir/alignment_source"
  else
    log "no --kaldi_exp: aligning phones with pocketsphinx (the paper uses Kaldi's tri3b; results are labelled so)"
    use_environment recipes,align
    vqbn-align "${sets[@]}" --nj "$nj" --max_bad "$max_bad" --max_unaligned "$max_unaligned" "$@"
    echo pocketsphinx >"$datadir/alignment_source"
  fi
}

# make_features: stage 2, features, CMVN, and the join with the alignments.
make_features() {
  local sets
  mapfile -t sets < <(set_options | sed 's/^--set$/--data/')
  vqbn-make-features "${sets[@]}" --train_set "$train_set" --out "$dumpdir" --nj "$nj" --max_bad "$max_bad" \
    --max_unaligned "$max_unaligned" --feature_backend "$feature_backend"
}

run_name() { echo "$1${tag:+-$tag}_seed$2"; }

# train_run VARIANT SEED: stage 3; goes on from the last checkpoint, and does nothing if the run is finished.
train_run() {
  local configs=() config run
  run=$expdir/$(run_name "$1" "$2")
  for config in $train_config "conf/train_$1.yaml"; do configs+=(--config "$config"); done
  mkdir -p "$run"
  [ -f "$run/command.txt" ] || echo "$invocation" >"$run/command.txt"
  log "training $run; its log is $run/job.log"
  # shellcheck disable=SC2086
  "$train_cmd" "$run/job.log" vqbn-train "${configs[@]}" --dump "$dumpdir" --train_set "$train_set" \
    --dev_set "$dev_set" --expdir "$run" --seed "$2" --ngpu "$ngpu" --results "$results" $train_options
}

# kept_run VARIANT SEED: whether the run's results file is all there is of it: it was trained elsewhere, or exp/ removed.
kept_run() {
  local name
  name=$(run_name "$1" "$2")
  [ -n "$results" ] && [ -f "$results/$name.json" ] && [ ! -d "$expdir/$name/checkpoints" ] || return 1
  log "$name is done already: $results/$name.json"
}

# decode_run VARIANT SEED: stage 4. score_run VARIANT SEED: stage 5.
decode_run() {
  kept_run "$1" "$2" && return
  local/decode.sh --expdir "$expdir/$(run_name "$1" "$2")" --dumpdir "$dumpdir" --sets "$eval_sets"
}

score_run() {
  kept_run "$1" "$2" && return
  local/score.sh --expdir "$expdir/$(run_name "$1" "$2")" --dumpdir "$dumpdir" --sets "$eval_sets" \
    --results "$results" --data_label "$data_label" --command "$(cat "$expdir/$(run_name "$1" "$2")/command.txt")"
}
