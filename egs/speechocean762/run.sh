#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Phone recognition through a vector-quantised bottleneck on speechocean762, which anyone can get (OpenSLR 101):
# the paper's WSJ experiment (section IV-A) on free speech.
set -euo pipefail
caller=$PWD
invocation="egs/speechocean762/run.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"
corpus=speechocean762

options="stage stop_stage data corpus kaldi_exp kaldi_root ctm silence_phones train_config variants seeds expdir datadir dumpdir nj ngpu
  max_bad max_unaligned channel feature_backend cmvn token_type vocab_size train_options tag results_name dev_split eval_sets tune"
stage=0 stop_stage=6
data='' kaldi_exp='' kaldi_root='' ctm='' silence_phones=''
train_config=conf/base.yaml variants=bn_reest_lr seeds=1 train_options='' tag=''
expdir=exp datadir=data dumpdir=dump results_name=''
dev_split=false eval_sets='' tune=false
nj=2 ngpu=0 max_bad=0.05 max_unaligned=0.15 channel='' feature_backend=kaldi cmvn=global token_type=phn vocab_size=100
. ./path.sh
. ../../utils/speech.sh
usage='usage: egs/speechocean762/run.sh [--data DIR] [--kaldi_exp DIR] [--stage N] [--stop_stage N] [OPTION VALUE ...]

stages: 0 data preparation, 1 alignments, 2 features, 3 training, 4 decoding, 5 scoring, 6 report

--data DIR          speechocean762 as OpenSLR 101 ships it, or as Kaldi data directories train/ and dev/ with a
                    lexicon.txt; without it the corpus is downloaded (520 MB)
--corpus NAME       what results are called, if --data is another corpus in one of these shapes: speechocean762
--train_config LIST files read before conf/train_<variant>.yaml; conf/base.yaml is the size for two cores,
                    "conf/base.yaml conf/large.yaml" the authors'"'"' size for a GPU
                    (in your folder, else in the recipe'"'"'s; a path with blanks among several is quoted)
--expdir, --datadir, --dumpdir   where runs, data directories and features go: exp, data, dump
--dev_split true    choose the checkpoint of each run on the speakers dev_tune, and report the others, dev_report; stage 2
                    divides dev by a fixed rule (vqbn-split-speakers --help)
--eval_sets LIST    sets to decode and score, the reported one first: dev, or with --dev_split dev_report and dev_tune;
                    with train among them the report counts the codes used there too
--tune true         instead of stages 3 to 6: train each variant shortly with each setting of conf/tune.txt, choosing on
                    dev_tune, and print what was tried and what is best; run again it goes on where it stopped
'"$speech_usage"
. ../../utils/parse_options.sh
. ./cmd.sh
data=$(absolute "$data") kaldi_exp=$(absolute "$kaldi_exp") kaldi_root=$(absolute "$kaldi_root") ctm=$(absolute "$ctm")
resolve_given expdir datadir dumpdir
train_set=train dev_set=dev data_sets="train dev"
case $tune in
  true) dev_split=true ;;
  false) ;;
  *) fail "--tune takes true or false, not '$tune'" ;;
esac
case $dev_split in
  true) dev_set=dev_tune; : "${eval_sets:=dev_report dev_tune}" ;;
  false) : "${eval_sets:=dev}" ;;
  *) fail "--dev_split takes true or false, not '$dev_split'" ;;
esac
check_cmvn
check_token_type
find_train_config
expand_variants
use_environment "$(text_extra "$(peers_extra recipes)")"

if begin_stage 0 "data preparation: ${data:-OpenSLR 101} to $(shown "$datadir")/"; then
  if [ -n "$data" ]; then
    vqbn-prepare-speechocean762 --corpus "$data" --out "$datadir" --max_bad "$max_bad"
  else
    vqbn-prepare-speechocean762 --download downloads --out "$datadir" --max_bad "$max_bad"
  fi
  echo "$corpus" >"$datadir/corpus"
  end_stage "wrote $(shown "$datadir")/train, $(shown "$datadir")/dev"
fi

if begin_stage 1 "alignments: ${ctm:-${kaldi_exp:-${kaldi_root:-pocketsphinx}}} to $(shown "$datadir")/*/phones.ctm"; then
  import_alignments --lexicon "$datadir/lexicon.txt"
  make_tokens
  end_stage "wrote $(shown "$datadir")/*/phones.ctm"
fi

if begin_stage 2 "features, and the join with the alignments, to $(shown "$dumpdir")/"; then
  make_features
  genders=$datadir/dev/spk2gender
  [ -f "$genders" ] || genders=''
  vqbn-split-speakers --dump "$dumpdir" --set dev ${genders:+--spk2gender "$genders"}
  end_stage "wrote $(shown "$dumpdir")/; the joined counts are in $(shown "$dumpdir")/report.txt"
fi

name_results
if [ "$dev_split" = true ]; then
  # Other checkpoints are chosen and other speakers reported: not to be mixed with the runs on all of dev.
  [ -n "$results_name" ] || results+=-split
  data_label+=", chosen on dev_tune"
fi

if [ "$tune" = true ]; then
  [ -n "$results" ] || fail "--tune true keeps what it tries under results/: --results_name cannot be none"
  if begin_stage 3 "searching settings of $variants on $dev_set, seeds $seeds, in $(shown "$expdir")/tuning/"; then
    tune_variants
    end_stage "wrote $(shown "$results")/tuning/"
  fi
  exit 0
fi

run_speech_stages
