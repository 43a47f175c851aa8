# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by local/train_tri3b.sh: what Kaldi's own WSJ recipe trains its models on, their leaves and Gaussians, and
# what it calls them.
: "${sets:=train_si284 test_dev93 test_eval92}"
train=${sets%% *}
mono=mono0a mono_set=train_si84_2kshort mono_ali=mono0a_ali
tri1_set=train_si84_half tri1_size='2000 10000' tri1_ali=tri1_ali_si84
tri2b_set=train_si84 tri2b_size='2500 15000' tri2b_ali=tri2b_ali_si284
tri3b_size='4200 40000'

make_subsets() {
  # SI-84 is WSJ0's part of SI-284, whose speakers come first in the sorted list.
  kaldi_step data/train_si84 utils/subset_data_dir.sh --first "data/$train" 7138 data/train_si84
  kaldi_step data/train_si84_2kshort utils/subset_data_dir.sh --shortest data/train_si84 2000 data/train_si84_2kshort
  kaldi_step data/train_si84_half utils/subset_data_dir.sh data/train_si84 3500 data/train_si84_half
}
