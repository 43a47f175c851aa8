#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Phone or speech recognition through a vector-quantised bottleneck in ESPnet2, on speechocean762 (OpenSLR 101, free).
# docs/espnet2.md says what the configurations in conf/espnet2 mean.
set -euo pipefail
caller=$PWD
invocation="egs/speechocean762/run_espnet2.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"
corpus=speechocean762

options="stage stop_stage data kaldi_exp token_type vocab_size variants seeds expdir datadir dumpdir nj ngpu train_options
  beam_size ctc_weight criterion like_vqbn"
stage=0 stop_stage=5
data='' kaldi_exp='' token_type=phn vocab_size=100 variants=bn_reest_lr seeds=1 train_options=''
expdir=exp datadir=data dumpdir=dump nj=2 ngpu=0 size=train
beam_size=4 ctc_weight=1.0 criterion=vq_cer_ctc like_vqbn=false
usage='usage: egs/speechocean762/run_espnet2.sh [--data DIR] [--kaldi_exp DIR] [--token_type phn|char|bpe] [OPTION VALUE ...]

stages: 0 to 2 as in run.sh (data preparation, alignments, features), then tokens and data folders for ESPnet;
        3 collect_stats and training, 4 decoding, 5 scoring with ESPnet'"'"'s scorer and with ours

--data DIR, --kaldi_exp DIR   as in run.sh
--token_type T      phn: the phones of the alignment; char: characters; bpe: pieces of sentencepiece (--vocab_size 100)
--variants LIST     of the files conf/espnet2/train_<variant>.yaml: none bn_reest_lr
--seeds LIST        "1 2 3"
--train_options STR more options for ESPnet, such as "--max_epoch 20 --encoder_conf bottleneck_conf.codebook_size=512"
--beam_size N, --ctc_weight X   of the decoding: 4, and 1.0, CTC alone
--criterion NAME    whose best epoch on dev is decoded: vq_cer_ctc; for a model with an attention decoder vq_acc
--like_vqbn true    train on the very chunks that run.sh trains on, in batches of 32, to compare the two
--expdir, --datadir, --dumpdir   where runs, data directories and features go: exp, data, dump
--nj N              processes, and runs trained at a time: 2        --ngpu N  GPUs for a training: 0'
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
. ../../utils/espnet2.sh
data=$(absolute "$data") kaldi_exp=$(absolute "$kaldi_exp")
resolve_given expdir datadir dumpdir
train_set=train eval_sets=dev
check_espnet_options

if [ "$stage" -le 2 ]; then
  ./run.sh --stage "$stage" --stop_stage "$((stop_stage < 2 ? stop_stage : 2))" ${data:+--data "$data"} \
    ${kaldi_exp:+--kaldi_exp "$kaldi_exp"} --datadir "$datadir" --dumpdir "$dumpdir" --nj "$nj"
fi
. ../../utils/espnet2_stages.sh
