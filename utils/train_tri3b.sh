#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034,SC2154
# Trains tri3b with Kaldi's scripts, from nothing, on a recipe's data directories, and aligns the sets with it.
# A link in a recipe's local/; the recipe's conf/tri3b.sh says what each model is trained on and how large it is.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="kaldi_root kaldi_exp datadir sets work lexicon nj"
kaldi_root='' kaldi_exp='' datadir=data sets='' work='' lexicon='' nj=10
usage='usage: local/train_tri3b.sh --kaldi_root DIR [--kaldi_exp DIR] [--datadir data] [--sets LIST] [--work DIR]
       [--lexicon FILE] [--nj N]
--kaldi_root DIR  Kaldi, compiled; its steps/ and utils/ are used as they are
--kaldi_exp DIR   a recipe'"'"'s exp, or its tri3b: nothing is trained, the sets are aligned with that model
--sets LIST       the sets to align; the first is the training set. Without it those of conf/tri3b.sh
--work DIR        where Kaldi works: kaldi in --datadir. A run that was stopped goes on there.
--lexicon FILE    CMU pronunciations, lines WORD PHONE ...; without it those that conf/tri3b.sh names, or else those that
                  Kaldi'"'"'s local/wsj_prepare_dict.sh fetches'
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. ../../utils/kaldi.sh
[ -n "$kaldi_root" ] || fail "--kaldi_root names a compiled Kaldi"
kaldi_root=$(absolute "$kaldi_root") kaldi_exp=$(absolute "$kaldi_exp") lexicon=$(absolute "$lexicon")
resolve_given datadir work
datadir=$(cd "$datadir" && pwd)
: "${work:=$datadir/kaldi}" "${kaldi_cmd:=run.pl}"
. conf/tri3b.sh
use_environment recipes

if [ -n "$kaldi_exp" ]; then
  align_with_model
  exit
fi
lang=data/lang_nosp
kaldi_prepare ${lexicon:+--lexicon "$lexicon"}
[ -n "$lexicon" ] || kaldi_step data/local/dict_nosp local/wsj_prepare_dict.sh --dict-suffix _nosp
kaldi_lang
make_subsets

kaldi_step "exp/$mono" steps/train_mono.sh --boost-silence 1.25 --nj "$(kaldi_jobs "$mono_set")" --cmd "$kaldi_cmd" \
  "data/$mono_set" $lang "exp/$mono"
kaldi_align align_si.sh "$tri1_set" $lang "exp/$mono" "exp/$mono_ali" --boost-silence 1.25
# shellcheck disable=SC2086
kaldi_step exp/tri1 steps/train_deltas.sh --boost-silence 1.25 --cmd "$kaldi_cmd" $tri1_size \
  "data/$tri1_set" $lang "exp/$mono_ali" exp/tri1
kaldi_align align_si.sh "$tri2b_set" $lang exp/tri1 "exp/$tri1_ali"
# shellcheck disable=SC2086
kaldi_step exp/tri2b steps/train_lda_mllt.sh --cmd "$kaldi_cmd" --splice-opts "--left-context=3 --right-context=3" \
  $tri2b_size "data/$tri2b_set" $lang "exp/$tri1_ali" exp/tri2b
kaldi_align align_si.sh "$train" $lang exp/tri2b "exp/$tri2b_ali"
# shellcheck disable=SC2086
kaldi_step exp/tri3b steps/train_sat.sh --cmd "$kaldi_cmd" $tri3b_size "data/$train" $lang "exp/$tri2b_ali" exp/tri3b

for set in $sets; do
  kaldi_align align_fmllr.sh "$set" $lang exp/tri3b "exp/tri3b_ali_$set"
done
log "aligned $sets: $work/exp/tri3b_ali_*"
