#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Trains tri3b as Kaldi's WSJ recipe does, from nothing, on our data directories, and aligns them with it.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="kaldi_root kaldi_exp datadir sets work lexicon nj"
kaldi_root='' kaldi_exp='' datadir=data sets='train_si284 test_dev93 test_eval92' work='' lexicon='' nj=10
usage='usage: local/train_tri3b.sh --kaldi_root DIR [--kaldi_exp DIR] [--datadir data] [--sets "train_si284 test_dev93 test_eval92"]
       [--work DIR] [--lexicon FILE] [--nj N]
--kaldi_root DIR  Kaldi, compiled; its steps/ and utils/ are used as they are
--kaldi_exp DIR   a recipe'"'"'s exp, or its tri3b: nothing is trained, the sets are aligned with that model
--sets LIST       the sets to align; the first is the training set
--work DIR        where Kaldi works: kaldi in --datadir. A run that was stopped goes on there.
--lexicon FILE    CMU pronunciations, lines WORD PHONE ...; without it Kaldi'"'"'s local/wsj_prepare_dict.sh fetches them'
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. ../../utils/kaldi.sh
[ -n "$kaldi_root" ] || fail "--kaldi_root names a compiled Kaldi"
kaldi_root=$(absolute "$kaldi_root") kaldi_exp=$(absolute "$kaldi_exp") lexicon=$(absolute "$lexicon")
resolve_given datadir work
datadir=$(cd "$datadir" && pwd)
: "${work:=$datadir/kaldi}" "${kaldi_cmd:=run.pl}"
use_environment recipes

if [ -n "$kaldi_exp" ]; then
  align_with_model
  exit
fi
train=data/${sets%% *} lang=data/lang_nosp
kaldi_prepare ${lexicon:+--lexicon "$lexicon"}
[ -n "$lexicon" ] || kaldi_step data/local/dict_nosp local/wsj_prepare_dict.sh --dict-suffix _nosp
kaldi_lang
# SI-84 is WSJ0's part of SI-284, whose speakers come first in the sorted list.
kaldi_step data/train_si84 utils/subset_data_dir.sh --first "$train" 7138 data/train_si84
kaldi_step data/train_si84_2kshort utils/subset_data_dir.sh --shortest data/train_si84 2000 data/train_si84_2kshort
kaldi_step data/train_si84_half utils/subset_data_dir.sh data/train_si84 3500 data/train_si84_half

kaldi_step exp/mono0a steps/train_mono.sh --boost-silence 1.25 --nj "$(kaldi_jobs train_si84_2kshort)" --cmd "$kaldi_cmd" \
  data/train_si84_2kshort $lang exp/mono0a
kaldi_align align_si.sh train_si84_half $lang exp/mono0a exp/mono0a_ali --boost-silence 1.25
kaldi_step exp/tri1 steps/train_deltas.sh --boost-silence 1.25 --cmd "$kaldi_cmd" 2000 10000 \
  data/train_si84_half $lang exp/mono0a_ali exp/tri1
kaldi_align align_si.sh train_si84 $lang exp/tri1 exp/tri1_ali_si84
kaldi_step exp/tri2b steps/train_lda_mllt.sh --cmd "$kaldi_cmd" --splice-opts "--left-context=3 --right-context=3" \
  2500 15000 data/train_si84 $lang exp/tri1_ali_si84 exp/tri2b
kaldi_align align_si.sh "${sets%% *}" $lang exp/tri2b exp/tri2b_ali_si284
kaldi_step exp/tri3b steps/train_sat.sh --cmd "$kaldi_cmd" 4200 40000 "$train" $lang exp/tri2b_ali_si284 exp/tri3b

for set in $sets; do
  kaldi_align align_fmllr.sh "$set" data/lang_nosp exp/tri3b "exp/tri3b_ali_$set"
done
log "aligned $sets: $work/exp/tri3b_ali_*"
