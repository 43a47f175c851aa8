#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Images through a vector-quantised bottleneck: CIFAR-10 (section IV-C of the paper, Table III and Figure 4), or, with
# --data mini, crops of two photographs.
set -euo pipefail
caller=$PWD
invocation="egs/cifar10/run.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"

options="stage stop_stage data allow_partial train_config variants bottlenecks seeds expdir datadir nj ngpu
  train_options tag results_name"
stage=0 stop_stage=6
data='' allow_partial=''
train_config='' variants=bn_reest_lr bottlenecks=8x128 seeds=1 train_options='' tag=''
expdir='' datadir='' results_name=''
nj=2 ngpu=0
usage='usage: egs/cifar10/run.sh [--data mini|DIR|ARCHIVE] [--stage N] [--stop_stage N] [OPTION VALUE ...]

stages: 0 data preparation, 1 and 2 nothing, 3 training, 4 reconstruction, 5 scoring, 6 report

--data mini         32x32 crops of the photographs that scikit-learn ships: shows that the pipeline works
--data DIR|ARCHIVE  cifar-10-batches-py or cifar-10-batches-bin, or the official archive of either; without it the
                    archive is downloaded (170 MB)
--allow_partial     take batches with fewer than their 10,000 images, and what others re-packed: a tar of the same batches, or
                    PNG files train/<class>/*.png, test/<class>/*.png in a folder or tar; results say what is missing, and that it is of PNG files
--variants LIST     rows of the paper'"'"'s Table III: vanilla bn bn_lr bn_ema bn_reest bn_reest_lr, or all
--bottlenecks LIST  "8x128 5x1024", or one of them: 8x128
--seeds LIST        "1 2 3 4 5"
--train_config LIST files read first: conf/base.yaml is the authors'"'"' size for a GPU, "conf/base.yaml conf/small.yaml"
                    one for two cores, and --data mini takes "conf/base.yaml conf/mini.yaml"
                    (in your folder, else in the recipe'"'"'s; a path with blanks among several is quoted)
--train_options STR more options for vqbn-train, such as "--max_updates 2000"; --tag names such runs ("long")
--expdir, --datadir where runs and packed images go: exp, data; with --data mini exp/mini and exp/mini/data
--results_name NAME the folder under results/ that keeps finished runs; by default how many images, and the size'"'"'s file;
                    none keeps none, and the report goes into --expdir
--nj N              runs trained at a time: 2                       --ngpu N  GPUs for a training: 0'
# The one option that may stand without a value.
for argument in "$@"; do
  shift
  [ "$argument" != --allow_partial ] || argument=--allow_partial=true
  set -- "$@" "$argument"
done
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
# A later stage goes on with what an earlier call prepared.
if [ -z "$data" ] && [ "$stage" -ge 1 ] && [ ! -d data ] && [ -d exp/mini/data ]; then data=mini; fi
extras=recipes,images
# Before the defaults: the images' folder lies in the runs'.
resolve_given expdir datadir
if [ "$data" = mini ]; then
  : "${train_config:=conf/base.yaml conf/mini.yaml}" "${expdir:=exp/mini}" "${datadir:=$expdir/data}"
else
  : "${train_config:=conf/base.yaml}" "${expdir:=exp}" "${datadir:=data}"
  data=$(absolute "$data")
fi
# Table III has no row without a bottleneck.
all_variants="vanilla bn bn_lr bn_ema bn_reest bn_reest_lr"
find_train_config
expand_variants
for bottleneck in $bottlenecks; do
  [ -f "conf/$bottleneck.yaml" ] || fail "--bottlenecks: there is no conf/$bottleneck.yaml; the paper's are 8x128 5x1024"
done
use_environment "$extras"

# A run's variant here is a row of the table with a bottleneck: vanilla-8x128.
find_configs() {
  local config
  configs=()
  for config in "${train_configs[@]}" "conf/${1#*-}.yaml" "$(variant_config "${1%-*}")"; do configs+=(--config "$config"); done
}
rows=''
for bottleneck in $bottlenecks; do
  for variant in $variants; do rows+=" $variant-$bottleneck"; done
done
variants=${rows# }

if begin_stage 0 "data preparation: ${data:-download} to $(shown "$datadir")/"; then
  vqbn-prepare-cifar10 --data "$data" --downloads downloads --out "$datadir" ${allow_partial:+--allow_partial}
  end_stage "wrote $(shown "$datadir")/"
fi

if begin_stage 1 "alignments: images have none"; then end_stage; fi
if begin_stage 2 "features: the pixels are the features"; then end_stage; fi

# Results are kept apart by what they were made from: which images, how many, and the model's size.
data_label=$(vqbn-prepare-cifar10 --label "$datadir")
images=$(echo "${data_label##*, }" | tr -dc 0-9)
size=$(basename "${train_configs[-1]}" .yaml)
results=$PWD/results/${results_name:-${images}images-$size}
if [ "$data" = mini ] || [ "$results_name" = none ]; then results=''; fi

train_arguments=(--images "$datadir")
decode_arguments=(--datadir "$datadir")
score_arguments=()
run_stages "codes, likelihoods and pictures of the test set" "bits per dimension, NELBO, codebook use"
