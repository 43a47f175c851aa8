# shellcheck shell=bash disable=SC2154
# Sourced by the speech recipes' run_espnet2.sh: ESPnet2's training, decoding and scoring.
# The script sets: token_type, vocab_size, dumpdir, datadir, expdir, train_set, eval_sets, seeds, train_options, beam_size,
# like_vqbn, size (which files in conf/espnet2 to take), nj, ngpu.
. "$VQBN_ROOT/utils/speech.sh"

# espnet_config VARIANT: its YAML.
espnet_config() { echo "conf/espnet2/${size}_$1.yaml"; }

check_espnet_options() {
  local variant file
  # One thread a process, as in the other recipes: results are repeatable, and runs side by side don't fight.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  check_token_type
  case $like_vqbn in
    false) set_trained=$train_set ;;
    true) set_trained=${train_set}_chunks ;;
    *) fail "--like_vqbn takes true or false, not '$like_vqbn'" ;;
  esac
  [ "$like_vqbn" = false ] || [ "$token_type" = phn ] || fail "--like_vqbn true goes with --token_type phn"
  for variant in $variants; do
    [ -f "$(espnet_config "$variant")" ] ||
      fail "--variants: there is no $(espnet_config "$variant"); there are:$(for file in conf/espnet2/"$size"_*.yaml; do
        file=${file##*/"${size}"_}; echo -n " ${file%.yaml}"; done)"
  done
  espnet_data=$dumpdir/espnet2_$targets stats=$expdir/espnet2_stats_$targets
  tag=$targets
  [ "$like_vqbn" = false ] || tag=chunks
  dev_set=${eval_sets%% *}
}

# use_espnet: an environment with ESPnet, made or added to as needed.
use_espnet() {
  use_environment recipes,espnet
  if python3 -c 'import importlib.metadata as m; m.version("espnet")' 2>/dev/null; then return; fi
  "$VQBN_ROOT/tools/setup.sh" --extras recipes,espnet
  export PATH=$VQBN_ROOT/.venv/bin:$PATH
}

# espnet_targets: tokens and, for bpe, a sentencepiece model from the training transcripts; data folders for ESPnet.
espnet_targets() {
  local set options=()
  make_tokens
  [ "$token_type" = phn ] || options+=(--tokens "$datadir/tokens_$targets")
  for set in $train_set $eval_sets; do options+=(--set "$set"); done
  [ "$like_vqbn" = false ] || options+=(--chunk_set "$train_set")
  vqbn-espnet-data --dump "$dumpdir" --token_type "$token_type" --out "$espnet_data" "${options[@]}"
}

# espnet_arguments VARIANT: fills the array `arguments` with ESPnet's training command and this recipe's data.
espnet_arguments() {
  arguments=(
    vqbn-espnet-asr-train --config "$(espnet_config "$1")" --ngpu "$ngpu" --input_size 81
    --token_type "$token_type" --token_list "$espnet_data/tokens.txt"
    --train_data_path_and_name_and_type "$espnet_data/$set_trained/feats.scp,speech,kaldi_ark"
    --train_data_path_and_name_and_type "$espnet_data/$set_trained/text,text,text"
    --valid_data_path_and_name_and_type "$espnet_data/$dev_set/feats.scp,speech,kaldi_ark"
    --valid_data_path_and_name_and_type "$espnet_data/$dev_set/text,text,text"
  )
  [ "$token_type" != bpe ] || arguments+=(--bpemodel "$datadir/tokens_$targets/bpe.model")
  if has_deepspeech2 "$1"; then arguments+=(--encoder_conf "cmvn=$dumpdir/cmvn.ark"); fi
}

has_deepspeech2() { grep -q '^encoder: vqbn_deepspeech2' "$(espnet_config "$1")"; }

# espnet_stats: ESPnet's collect_stats, which gives the lengths that batches are made by, and mean and variance. Chunks
# are of one length, and their batches are given.
espnet_stats() {
  [ "$like_vqbn" = false ] || return 0
  [ ! -f "$stats/valid/speech_shape" ] || return 0
  local arguments
  espnet_arguments "${variants%% *}"
  run_job prepare_cmd "$stats/job.log" "${arguments[@]}" --normalize null --collect_stats true --output_dir "$stats" \
    --batch_type unsorted --batch_size 16 --train_shape_file "$espnet_data/$set_trained/feats.scp" \
    --valid_shape_file "$espnet_data/$dev_set/feats.scp"
}

espnet_run() { echo "$expdir/espnet2_${tag}_$1_seed$2"; }

# espnet_name VARIANT: what its results file is called.
espnet_name() { echo "$1-espnet2-$tag"; }

# espnet_train_run VARIANT SEED: stage 3; goes on from the last epoch that was finished.
espnet_train_run() {
  local run arguments tokens more
  split_words more "$train_options" --train_options || exit 1
  espnet_kept_run "$1" "$2" && return
  run=$(espnet_run "$1" "$2")
  mkdir -p "$run"
  [ -f "$run/command.txt" ] || echo "$invocation" >"$run/command.txt"
  tokens=$(cat "$espnet_data/$set_trained/tokens_per_utterance")
  espnet_arguments "$1"
  has_deepspeech2 "$1" || arguments+=(--normalize_conf "stats_file=$stats/train/feats_stats.npz")
  if [ "$like_vqbn" = true ]; then
    arguments+=(--train_shape_file "$espnet_data/$set_trained/feats.scp" --valid_shape_file "$espnet_data/$dev_set/feats.scp")
    arguments+=(--batch_type unsorted --batch_size 32)
  else
    arguments+=(--train_shape_file "$stats/train/speech_shape" --train_shape_file "$stats/train/text_shape")
    arguments+=(--valid_shape_file "$stats/valid/speech_shape" --valid_shape_file "$stats/valid/text_shape")
  fi
  # The weight of the other losses beside a sum over tokens, and the limit of the gradients, grow with their number.
  arguments+=(--model_conf "vq_weight=$tokens" --grad_clip "$(python3 -c "print(20 * $tokens)")")
  log "training $(shown "$run"); its log is $(shown "$run/job.log")"
  run_job train_cmd "$run/job.log" "${arguments[@]}" --output_dir "$run" --resume true --seed "$2" "${more[@]}"
}

# espnet_kept_run VARIANT SEED: whether the run's results file is all there is of it.
espnet_kept_run() {
  local run file
  run=$(espnet_run "$1" "$2") file=$results/$(espnet_name "$1")_seed$2.json
  [ -n "$results" ] && [ -f "$file" ] && [ ! -d "$run" ] || return 1
  log "$run is done already: $file"
}

# espnet_decode_run VARIANT SEED: stage 4. espnet_score_run VARIANT SEED: stage 5.
espnet_decode_run() {
  local run set
  espnet_kept_run "$1" "$2" && return
  run=$(espnet_run "$1" "$2")
  for set in $eval_sets; do
    run_job decode_cmd "$run/decode_$set.log" vqbn-espnet-asr-inference --ngpu 0 \
      --data_path_and_name_and_type "$espnet_data/$set/feats.scp,speech,kaldi_ark" --output_dir "$run/decode_$set" \
      --asr_train_config "$run/config.yaml" --asr_model_file "$run/valid.$criterion.best.pth" --ctc_weight "$ctc_weight" \
      --beam_size "$beam_size"
  done
}

espnet_score_run() {
  local run sets=() set
  espnet_kept_run "$1" "$2" && return
  run=$(espnet_run "$1" "$2")
  for set in $eval_sets; do sets+=(--set "$set"); done
  vqbn-espnet-score --run "$run" "${sets[@]}" --data "$espnet_data" --token_type "$token_type" --results "$results" \
    --name "$(espnet_name "$1")" --criterion "$criterion" --data_label "$data_label" --command "$(cat "$run/command.txt")"
}
