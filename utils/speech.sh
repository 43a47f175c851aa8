# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the speech recipes: stages 1 to 6, which differ between corpora only in their sets and files.
# For a recipe without these options.
cmvn=${cmvn:-global} ctm=${ctm:-} silence_phones=${silence_phones:-} token_type=${token_type:-phn} vocab_size=${vocab_size:-100}
results_name=${results_name:-} channel=${channel:-}

# For --help: the options that the speech recipes have in common.
speech_usage='--kaldi_exp DIR     a Kaldi recipe'"'"'s exp with tri3b or tri3b_ali_*, or any one folder of it that has ali.*.gz;
                    without it, --kaldi_root and --ctm phones are aligned with pocketsphinx
--kaldi_root DIR    Kaldi, compiled: trains tri3b from nothing, or with --kaldi_exp aligns the sets that it lacks
--ctm FILE          phone alignments of all sets from elsewhere: lines "utterance channel start duration phone", in seconds
--silence_phones LIST   the phones that are silence, which scores without silence leave out; by default as Kaldi'"'"'s data/lang*
                    says, else SIL or sil
--variants LIST     rows of the paper'"'"'s Table I: none vanilla bn bn_lr bn_ema bn_reest bn_reest_lr, or all; other
                    libraries'"'"' quantisers: vqp_ema simvq fsq rotation cosine, the same behind batch
                    normalisation: bn_vqp_ema and so on, or peers for the ten
--seeds LIST        "1 2 3"
--train_options STR more options for vqbn-train, such as "--vq_codebook_size 512"; --tag names such runs ("K512")
--results_name NAME the folder under results/ that keeps finished runs; by default the training set'"'"'s size and aligner;
                    none keeps none, and the report goes into --expdir
--nj N              processes, and runs trained at a time: 2        --ngpu N  GPUs for a training: 0
--max_bad X, --max_unaligned X   the share of utterances that may be unusable (0.05) or unaligned (0.15)
--channel N         which channel of recordings with several; the first, unless reco2file_and_channel says it
--feature_backend   kaldi (kaldi-native-fbank) or torchaudio
--token_type T      what is recognised: phn, the alignment'"'"'s phones; char or bpe, characters or pieces (--vocab_size 100) of
                    the transcript, from whole utterances, scored by WER and CER. Such runs are named <variant>-<tokens>
--cmvn speaker      normalise features by each speaker'"'"'s own mean and variance; global, the default: by the training
                    set'"'"'s, as the paper does. Such runs are named <variant>-speaker_cmvn'

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
    vqbn-import-alignments --ctm "$ctm" "${sets[@]}" --max_bad "$max_bad" ${silence_phones:+--silence_phones "$silence_phones"}
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
    vqbn-import-alignments "${folders[@]}" "${sets[@]}" --max_bad "$max_bad" ${silence_phones:+--silence_phones "$silence_phones"}
    echo kaldi >"$datadir/alignment_source"
  else
    log "no --kaldi_exp: aligning phones with pocketsphinx (the paper uses Kaldi's tri3b; results are labelled so)"
    use_environment recipes,align
    prepare "$datadir/align.log" vqbn-align "${sets[@]}" --nj "$nj" --max_bad "$max_bad" \
      --max_unaligned "$max_unaligned" ${channel:+--channel "$channel"} "$@"
    echo pocketsphinx >"$datadir/alignment_source"
  fi
}

# check_token_type: ends the run if $token_type is unknown; sets $targets, a name for what is recognised.
check_token_type() {
  case $token_type in
    phn | char) targets=$token_type ;;
    bpe) targets=bpe$vocab_size ;;
    *) fail "--token_type takes phn, char or bpe, not '$token_type'" ;;
  esac
}

# text_extra EXTRAS: EXTRAS, and that of sentencepiece where pieces are recognised.
text_extra() { if [ "$token_type" = bpe ]; then echo "$1,text"; else echo "$1"; fi; }

# make_tokens: the end of stage 1 with text targets: tokens of the training transcripts, for bpe from a sentencepiece model
# that is trained on them.
make_tokens() {
  [ "$token_type" != phn ] || return 0
  vqbn-make-tokens --text "$datadir/$train_set/text" --token_type "$token_type" --vocab_size "$vocab_size" \
    --out "$datadir/tokens_$targets"
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
  prepare "$dumpdir/features.log" vqbn-make-features "${sets[@]}" --train_set "$train_set" --out "$dumpdir" \
    --nj "$nj" --max_bad "$max_bad" --max_unaligned "$max_unaligned" --feature_backend "$feature_backend" --cmvn "$cmvn" \
    ${channel:+--channel "$channel"}
}

# name_results: sets $results, the folder that keeps finished runs, and $data_label, what they were trained on in words.
# Results are kept apart by what they were made from: whose corpus, how many training utterances, and whose alignments.
# What the data is called, if not the recipe's $corpus, says --corpus, or stage 0 in $datadir/corpus.
name_results() {
  local utterances aligner others=''
  case " ${given_options:-} " in *" corpus "*) ;; *) corpus=$(cat "$datadir/corpus" 2>/dev/null || echo "$corpus") ;; esac
  case $corpus in WSJ | speechocean762) ;; *) others=${corpus//[^[:alnum:]._-]/_}- ;; esac
  utterances=$(grep -c '[^[:space:]]' "$datadir/$train_set/utt2spk" 2>/dev/null || true)
  aligner=$(cat "$datadir/alignment_source" 2>/dev/null || echo unknown)
  results=$PWD/results/${results_name:-$others$((utterances))utt-$aligner}
  data_label="$corpus, $((utterances)) training utterances, $aligner alignments"
  [ "$results_name" != none ] || results=''
  if [ "$data" = mini ]; then
    results=''
    data_label="mini speech corpus (espeak-ng), $((utterances)) training utterances"
  fi
}

# run_name VARIANT SEED: says what the run changes in the variant.
run_name() {
  local changes=${tag:+-$tag}
  [ "$cmvn" = global ] || changes+=-${cmvn}_cmvn
  [ "$token_type" = phn ] || changes+=-$targets
  echo "$1${changes}_seed$2"
}

# speech_arguments: fills the arrays that stages 3 to 5 take.
speech_arguments() {
  train_arguments=(--dump "$dumpdir" --train_set "$train_set" --dev_set "$dev_set" --cmvn "$cmvn")
  if [ "$token_type" != phn ]; then
    # What text is said in a chunk nobody knows: whole utterances, each once an epoch.
    train_arguments+=(--token_type "$token_type" --tokens "$datadir/tokens_$targets" --vocab_size "$vocab_size")
    train_arguments+=(--chunk_frames 0 --chunks_per_utterance 1)
  fi
  decode_arguments=(--dumpdir "$dumpdir" --sets "$eval_sets")
  score_arguments=("${decode_arguments[@]}")
}

# run_speech_stages: stages 3 to 6.
run_speech_stages() {
  speech_arguments
  run_stages "whole utterances of $eval_sets" "PER, codebook use, unit quality"
}

# tune_run VARIANT SEED: stages 3 to 5 of one setting; what its results file holds is not done again.
tune_run() { train_run "$1" "$2" && decode_run "$1" "$2" && score_run "$1" "$2"; }

# tune_variants: short trainings of each variant with each setting of conf/tune.txt that it has, scored on $dev_set.
# The settings are read first; a variant with a failed run stops the search, and what was done is kept.
tune_variants() {
  local all_chosen=$variants more=$train_options settings line setting chosen options variant
  local train_configs=("${train_configs[@]}" conf/tune.yaml) eval_sets=$dev_set results=$results/tuning
  local expdir=$expdir/tuning tag
  speech_arguments
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
