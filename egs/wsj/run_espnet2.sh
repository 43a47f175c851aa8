#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Phone or speech recognition through a vector-quantised bottleneck in ESPnet2, on the Wall Street Journal corpus or, with
# --data mini, on a small corpus that is made on the spot. docs/espnet2.md says what the files in conf/espnet2 mean.
set -euo pipefail
caller=$PWD
invocation="egs/wsj/run_espnet2.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"
corpus=WSJ

options="stage stop_stage data wsj0 wsj1 kaldi_exp token_type vocab_size variants seeds expdir datadir dumpdir nj ngpu
  train_options beam_size ctc_weight criterion like_vqbn mini_utterances"
stage=0 stop_stage=5
data='' wsj0='' wsj1='' kaldi_exp='' token_type=phn vocab_size=100 variants=bn_reest_lr seeds=1 train_options=''
expdir='' datadir='' dumpdir='' nj=2 ngpu=0 mini_utterances=360
beam_size=4 ctc_weight=1.0 criterion=vq_cer_ctc like_vqbn=false
usage='usage: egs/wsj/run_espnet2.sh --wsj0 DIR --wsj1 DIR | --data mini|DIR [--kaldi_exp DIR] [--token_type phn|char|bpe] [OPTION VALUE ...]

stages: 0 to 2 as in run.sh (data preparation, alignments, features), then tokens and data folders for ESPnet;
        3 collect_stats and training, 4 decoding, 5 scoring with ESPnet'"'"'s scorer and with ours

--data, --wsj0, --wsj1, --kaldi_exp   as in run.sh; --data mini: --mini_utterances 360
--token_type T      phn: the phones of the alignment; char: characters; bpe: pieces of sentencepiece (--vocab_size 100)
--variants LIST     of the files conf/espnet2/train_<variant>.yaml: none bn_reest_lr conformer_bn_reest_lr; with
                    --data mini conf/espnet2/mini_<variant>.yaml: none bn_reest_lr
--seeds LIST        "1 2 3"
--train_options STR more options for ESPnet, such as "--max_epoch 20 --encoder_conf bottleneck_conf.codebook_size=512"
--beam_size N, --ctc_weight X   of the decoding: 4, and 1.0, CTC alone
--criterion NAME    whose best epoch on the first development set is decoded: vq_cer_ctc; for a model with an attention
                    decoder vq_acc
--like_vqbn true    train on chunks as run.sh does (2,350 updates of 32), to compare the two
--expdir, --datadir, --dumpdir   where runs, data directories and features go: exp, data, dump; with --data mini
                    exp/mini and the folders data and dump in it
--nj N              processes, and runs trained at a time: 2        --ngpu N  GPUs for a training: 0'
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. ../../utils/espnet2.sh
kaldi_exp=$(absolute "$kaldi_exp") wsj0=$(absolute "$wsj0") wsj1=$(absolute "$wsj1")
resolve_given expdir datadir dumpdir
prepared=()
if [ "$data" = mini ]; then
  train_set=train eval_sets=dev size=mini
  : "${expdir:=exp/mini}" "${datadir:=$expdir/data}" "${dumpdir:=$expdir/dump}"
  prepared=(--data mini --mini_utterances "$mini_utterances")
else
  data=$(absolute "$data")
  train_set=train_si284 eval_sets="test_dev93 test_eval92" size=train
  : "${expdir:=exp}" "${datadir:=data}" "${dumpdir:=dump}"
  prepared=(${data:+--data "$data"} ${wsj0:+--wsj0 "$wsj0"} ${wsj1:+--wsj1 "$wsj1"} ${kaldi_exp:+--kaldi_exp "$kaldi_exp"})
fi
check_espnet_options

if [ "$stage" -le 2 ]; then
  ./run.sh "${prepared[@]}" --stage "$stage" --stop_stage "$((stop_stage < 2 ? stop_stage : 2))" --expdir "$expdir" \
    --datadir "$datadir" --dumpdir "$dumpdir" --nj "$nj"
fi
. ../../utils/espnet2_stages.sh
