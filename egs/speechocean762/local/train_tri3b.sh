#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/.. disable=SC2034
# Trains tri3b with Kaldi's scripts, sized for speechocean762, from nothing, and aligns the sets with it.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options="kaldi_root kaldi_exp datadir sets work lexicon nj"
kaldi_root='' kaldi_exp='' datadir=data sets='train dev' work='' lexicon='' nj=10
usage='usage: local/train_tri3b.sh --kaldi_root DIR [--kaldi_exp DIR] [--datadir data] [--sets "train dev"]
       [--work DIR] [--lexicon FILE] [--nj N]
--kaldi_root DIR  Kaldi, compiled; its steps/ and utils/ are used as they are
--kaldi_exp DIR   a recipe'"'"'s exp, or its tri3b: nothing is trained, the sets are aligned with that model
--sets LIST       the sets to align; the first is the training set
--work DIR        where Kaldi works: kaldi in --datadir. A run that was stopped goes on there.
--lexicon FILE    CMU pronunciations, lines WORD PHONE ...; lexicon.txt in --datadir'
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
train=${sets%% *} lang=data/lang_nosp
kaldi_prepare --lexicon "${lexicon:-$datadir/lexicon.txt}"
kaldi_lang
kaldi_step data/train_1kshort utils/subset_data_dir.sh --shortest "data/$train" 1000 data/train_1kshort

kaldi_step exp/mono steps/train_mono.sh --boost-silence 1.25 --nj "$(kaldi_jobs train_1kshort)" --cmd "$kaldi_cmd" \
  data/train_1kshort $lang exp/mono
kaldi_align align_si.sh "$train" $lang exp/mono exp/mono_ali --boost-silence 1.25
kaldi_step exp/tri1 steps/train_deltas.sh --boost-silence 1.25 --cmd "$kaldi_cmd" 600 6000 \
  "data/$train" $lang exp/mono_ali exp/tri1
kaldi_align align_si.sh "$train" $lang exp/tri1 exp/tri1_ali
kaldi_step exp/tri2b steps/train_lda_mllt.sh --cmd "$kaldi_cmd" --splice-opts "--left-context=3 --right-context=3" \
  800 8000 "data/$train" $lang exp/tri1_ali exp/tri2b
kaldi_align align_si.sh "$train" $lang exp/tri2b exp/tri2b_ali
kaldi_step exp/tri3b steps/train_sat.sh --cmd "$kaldi_cmd" 1000 10000 "data/$train" $lang exp/tri2b_ali exp/tri3b

for set in $sets; do
  kaldi_align align_fmllr.sh "$set" data/lang_nosp exp/tri3b "exp/tri3b_ali_$set"
done
log "aligned $sets: $work/exp/tri3b_ali_*"
