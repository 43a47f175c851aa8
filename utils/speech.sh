# shellcheck shell=bash disable=SC2154
# Sourced by the speech recipes: stages 1 to 6, which differ between corpora only in their sets and files.
# For a recipe without these options.
cmvn=${cmvn:-global} ctm=${ctm:-} token_type=${token_type:-phn} vocab_size=${vocab_size:-100} results_name=${results_name:-}

# set_options: `--set DIR` for each set of the corpus.
set_options() {
  local set
  for set in $data_sets; do printf -- '--set\n%s\n' "$datadir/$set"; done
}

# import_alignments [ALIGNER_OPTION ...]: stage 1, from a CTM, or Kaldi's folder, or made with Kaldi, else with an aligner
# that pip installs.
import_alignments() {
  local sets folders=() missing=$data_sets
  mapfile -t sets < <(set_options)
  if [ -n "$ctm" ]; then
    [ -z "$kaldi_exp$kaldi_root" ] || fail "--ctm and --kaldi_exp, --kaldi_root are two sources of alignments: give one"
    vqbn-import-alignments --ctm "$ctm" "${sets[@]}" --max_bad "$max_bad"
    echo ctm >"$datadir/alignment_source"
  elif [ -n "$kaldi_exp$kaldi_root" ]; then
    if [ -n "$kaldi_exp" ]; then
      folders=(--kaldi_exp "$kaldi_exp")
      [ -z "$kaldi_root" ] || missing=$(vqbn-import-alignments --list_missing "${folders[@]}" "${sets[@]}")
    fi
    if [ -n "$kaldi_root" ] && [ -n "$missing" ]; then
      local/train_tri3b.sh --kaldi_root "$kaldi_root" ${kaldi_exp:+--kaldi_exp "$kaldi_exp"} --datadir "$datadir" \
        --sets "$missing" --nj "$nj"
      folders+=(--kaldi_exp "$datadir/kaldi/exp")
    fi
    vqbn-import-alignments "${folders[@]}" "${sets[@]}" --max_bad "$max_bad"
    echo kaldi >"$datadir/alignment_source"
  else
    log "no --kaldi_exp: aligning phones with pocketsphinx (the paper uses Kaldi's tri3b; results are labelled so)"
    use_environment recipes,align
    vqbn-align "${sets[@]}" --nj "$nj" --max_bad "$max_bad" --max_unaligned "$max_unaligned" "$@"
    echo pocketsphinx >"$datadir/alignment_source"
  fi
}

# check_token_type: ends the run if $token_type is unknown; sets $units, a name for what is recognised.
check_token_type() {
  case $token_type in
    phn | char) units=$token_type ;;
    bpe) units=bpe$vocab_size ;;
    *) fail "--token_type takes phn, char or bpe, not '$token_type'" ;;
  esac
}

# text_extra EXTRAS: EXTRAS, and that of sentencepiece where pieces are recognised.
text_extra() { if [ "$token_type" = bpe ]; then echo "$1,text"; else echo "$1"; fi; }

# make_units: the end of stage 1 with text targets: tokens of the training transcripts, for bpe from a sentencepiece model
# that is trained on them.
make_units() {
  [ "$token_type" != phn ] || return 0
  vqbn-make-units --text "$datadir/$train_set/text" --token_type "$token_type" --vocab_size "$vocab_size" \
    --out "$datadir/units_$units"
}

# check_cmvn: ends the run if $cmvn is unknown.
check_cmvn() {
  case $cmvn in
    global | speaker) ;;
    *) fail "--cmvn takes global or speaker, not '$cmvn'" ;;
  esac
}

# make_features: stage 2, features, CMVN, and the join with the alignments.
make_features() {
  local sets
  mapfile -t sets < <(set_options | sed 's/^--set$/--data/')
  vqbn-make-features "${sets[@]}" --train_set "$train_set" --out "$dumpdir" --nj "$nj" --max_bad "$max_bad" \
    --max_unaligned "$max_unaligned" --feature_backend "$feature_backend" --cmvn "$cmvn"
}

# name_results: sets $results, the folder that keeps finished runs, and $data_label, what they were trained on in words.
# Results are kept apart by what they were made from: how many training utterances, and whose alignments.
name_results() {
  local utterances aligner
  utterances=$(wc -l 2>/dev/null <"$datadir/$train_set/utt2spk" || echo 0)
  aligner=$(cat "$datadir/alignment_source" 2>/dev/null || echo unknown)
  results=$PWD/results/${results_name:-$((utterances))utt-$aligner}
  data_label="$corpus, $((utterances)) training utterances, $aligner alignments"
  [ "$results_name" != none ] || results=''
  if [ "$data" = mini ]; then
    results=''
    data_label="mini speech corpus (espeak-ng), $((utterances)) training utterances"
  fi
}

# write_report: stage 6, from the results files, or from the runs where none are kept.
write_report() {
  if [ -n "$results" ]; then
    vqbn-report --results results --out RESULTS.md
  else
    vqbn-report --expdir "$expdir" --data_label "$data_label" --out "$expdir/RESULTS.md"
  fi
}

# run_name VARIANT SEED: says what the run changes in the variant.
run_name() {
  local changes=${tag:+-$tag}
  [ "$cmvn" = global ] || changes+=-${cmvn}_cmvn
  [ "$token_type" = phn ] || changes+=-$units
  echo "$1${changes}_seed$2"
}

# train_run VARIANT SEED: stage 3; goes on from the last checkpoint, and does nothing if the run is finished.
train_run() {
  local configs=() config run targets=()
  if [ "$token_type" != phn ]; then
    # What text is said in a chunk nobody knows: whole utterances, each once an epoch.
    targets=(--token_type "$token_type" --units "$datadir/units_$units" --vocab_size "$vocab_size")
    targets+=(--chunk_frames 0 --chunks_per_utterance 1)
  fi
  begin_run "$1" "$2"
  for config in $train_config "$(variant_config "$1")"; do configs+=(--config "$config"); done
  # shellcheck disable=SC2086
  "$train_cmd" "$run/job.log" vqbn-train "${configs[@]}" --dump "$dumpdir" --train_set "$train_set" \
    --dev_set "$dev_set" --expdir "$run" --seed "$2" --ngpu "$ngpu" --cmvn "$cmvn" --results "$results" \
    "${targets[@]}" $train_options
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

# tune_run VARIANT SEED: stages 3 to 5 of one setting; what its results file holds is not done again.
tune_run() { train_run "$1" "$2" && decode_run "$1" "$2" && score_run "$1" "$2"; }

# tune_variants: short trainings of each variant with each setting of conf/tune.txt that it has, scored on $dev_set.
# The settings are read first; a variant with a failed run stops the search, and what was done is kept.
tune_variants() {
  local all_chosen=$variants more=$train_options settings line setting chosen options variant
  local train_config="$train_config conf/tune.yaml" eval_sets=$dev_set results=$results/tuning expdir=$expdir/tuning tag
  mapfile -t settings < <(grep -v '^ *\(#\|$\)' conf/tune.txt)
  for line in "${settings[@]}"; do
    read -r setting chosen options <<<"$line"
    if [ "$setting" = start ]; then
      more+=" $options"
      continue
    fi
    variants=''
    for variant in $all_chosen; do
      case ,$chosen, in *,all,* | *",$variant,"*) variants+=" $variant" ;; esac
    done
    [ -n "$variants" ] || continue
    tag=$setting train_options="$more $options"
    for_each_run tune_run
  done
  variants=$all_chosen
  vqbn-tune --results "$results"
}
