# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by local/train_tri3b.sh: models sized for an hour or two of speech.
: "${sets:=train dev}"
train=${sets%% *}
: "${lexicon:=$datadir/lexicon.txt}"
mono=mono mono_set=train_1kshort mono_ali=mono_ali
tri1_set=$train tri1_size='600 6000' tri1_ali=tri1_ali
tri2b_set=$train tri2b_size='800 8000' tri2b_ali=tri2b_ali
tri3b_size='1000 10000'

make_subsets() { kaldi_step data/train_1kshort utils/subset_data_dir.sh --shortest "data/$train" 1000 data/train_1kshort; }
