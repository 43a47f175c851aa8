#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Handwriting through a vector-quantised bottleneck and back on ScribbleLens (section IV-B of the paper), on a corpus in
# its layout or on scans with ALTO or PAGE XML; or, with --data mini, on lines that are drawn on the spot.
set -euo pipefail
caller=$PWD
invocation="egs/scribblelens/run.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"

options="stage stop_stage data pages test_share paths color_mode slice train_on alphabet grey_levels binarize
  train_config variants seeds expdir datadir dumpdir nj ngpu max_bad train_options tag results_name data_label pictures mini_lines"
stage=0 stop_stage=6
data='' pages='' test_share=0.1 paths='' color_mode=bw slice='' train_on=train alphabet='' grey_levels=4 binarize=otsu
train_config='' variants=bn_reest_lr seeds=1 train_options='' tag=''
expdir='' datadir='' dumpdir='' results_name='' data_label='' pictures=3 mini_lines=240
nj=2 ngpu=0 max_bad=0.05
usage='usage: egs/scribblelens/run.sh [--data mini|ZIP | --pages DIR] [--stage N] [--stop_stage N] [OPTION VALUE ...]

stages: 0 line lists, 1 alignments, 2 packed lines, 3 training, 4 reconstructions and codes, 5 scores, 6 report

--data mini         Dutch-like lines, drawn on the spot: shows that the pipeline works
--data ZIP          scribblelens.corpus.v1.2.zip, or another corpus in its layout; read in place. Without it the corpus is
                    downloaded (OpenSLR 84)
--pages DIR         pages of handwriting instead: ALTO or PAGE XML files and their scans, as eScriptorium, Transkribus and
                    HTR-United have them. Lines are cut by their polygons or baselines into a corpus in that layout,
                    data/<name of DIR>.zip, of which --test_share 0.1 of the lines, whole pages, are the test set
--paths ZIP         alignments, where they are not in the corpus itself
--color_mode, --slice   which lists: bw, gray or color; tasman, ...     --train_on  train or unsupervised
--alphabet FILE     characters and ids (JSON); by default made of the transcripts
--grey_levels N     4, as in the authors'"'"' code                 --binarize  otsu or none, for scans in grey
--variants LIST     rows of the paper'"'"'s Table II: vanilla bn bn_lr bn_ema bn_reest bn_reest_lr, or all (with none)
--seeds LIST        "1 2 3"
--train_config LIST files read before conf/train_<variant>.yaml: conf/base.yaml is the authors'"'"' size for a GPU,
                    "conf/base.yaml conf/small.yaml" one for two cores, and --data mini takes
                    "conf/base.yaml conf/mini.yaml"
                    (in your folder, else in the recipe'"'"'s; a path with blanks among several is quoted)
--train_options STR more options for vqbn-train, such as "--vq_codebook_size 512"; --tag names such runs
--expdir, --datadir, --dumpdir   where runs, line lists and packed lines go: exp, data, dump;
                    with --data mini exp/mini and the folders data and dump in it
--results_name NAME the folder under results/ that keeps finished runs; by default the corpus'"'"'s name;
                    none keeps none, and the report goes into --expdir
--data_label TEXT   what the report calls the data; by default the corpus'"'"'s name
--pictures N        lines of the test set that are drawn from their codes: 3
--nj N              processes, and runs trained at a time: 2        --ngpu N  GPUs for a training: 0
--max_bad X         the share of lines, transcripts or alignments that may be unusable: 0.05
--mini_lines N      how many lines the mini corpus has: 240'
. ../../utils/parse_options.sh
. ./path.sh
. ./cmd.sh
if [ -n "$pages" ]; then
  [ -z "$data" ] || fail "--data and --pages are two ways to say the same: give one"
  pages=$(absolute "$pages") color_mode=gray
fi
case $data in
  mini)
    : "${train_config:=conf/base.yaml conf/mini.yaml}" "${expdir:=exp/mini}"
    : "${datadir:=$expdir/data}" "${dumpdir:=$expdir/dump}"
    ;;
  *)
    : "${train_config:=conf/base.yaml}" "${expdir:=exp}" "${datadir:=data}" "${dumpdir:=dump}"
    data=$(absolute "$data") paths=$(absolute "$paths") alphabet=$(absolute "$alphabet")
    ;;
esac
resolve_given expdir datadir dumpdir
eval_sets="dev test"
find_train_config
expand_variants
use_environment recipes,images

if begin_stage 0 "line lists: ${pages:-${data:-OpenSLR 84}} to $(shown "$datadir")/"; then
  if [ "$data" = mini ]; then
    vqbn-make-mini-lines --out "$expdir/mini.zip" --lines "$mini_lines"
    source=(--corpus "$expdir/mini.zip")
  elif [ -n "$pages" ]; then
    # Results are called by this name, and many corpora keep their pages in a folder called data.
    folder=$(realpath -m "$pages")
    folder=${folder%/data}
    data=$datadir/${folder##*/}.zip
    vqbn-prepare-scribblelens pages --pages "$pages" --out "$data" --test_share "$test_share" --nj "$nj" \
      --max_bad "$max_bad"
    source=(--corpus "$data")
  elif [ -n "$data" ]; then
    source=(--corpus "$data")
  else
    source=(--download downloads)
  fi
  vqbn-prepare-scribblelens lists "${source[@]}" --out "$datadir" --color_mode "$color_mode" --slice "$slice" \
    --train_on "$train_on" ${alphabet:+--alphabet "$alphabet"} --max_bad "$max_bad"
  end_stage "wrote $(shown "$datadir")/; the counts are in $(shown "$datadir")/report.json"
fi

if begin_stage 1 "alignments, to $(shown "$datadir")/*/columns.jsonl"; then
  vqbn-prepare-scribblelens align --data "$datadir" ${paths:+--paths "$paths"} --max_bad "$max_bad"
  end_stage
fi

if begin_stage 2 "lines at 32 pixels and $grey_levels grey levels, to $(shown "$dumpdir")/"; then
  prepare "$dumpdir/pack.log" vqbn-prepare-scribblelens pack --data "$datadir" --out "$dumpdir" \
    --grey_levels "$grey_levels" --binarize "$binarize" --nj "$nj" --max_bad "$max_bad"
  end_stage "wrote $(shown "$dumpdir")/; the counts are in $(shown "$dumpdir")/info.json"
fi

# Results are kept apart by what they were made from.
corpus=$(sed -n 's|.*/\([^/"]*\)\.zip".*|\1|p' "$datadir/corpus.json" 2>/dev/null || true)
results=$PWD/results/${results_name:-${corpus:-unknown}}
: "${data_label:=${corpus:-unknown corpus}}"
[ "$results_name" != none ] || results=''
if [ "$data" = mini ]; then
  results=''
  data_label="mini handwriting (drawn)"
fi

train_arguments=(--dump "$dumpdir")
decode_arguments=(--dumpdir "$dumpdir" --sets "$eval_sets" --pictures "$pictures")
score_arguments=(--dumpdir "$dumpdir" --sets "$eval_sets")
run_stages "codes, likelihoods and pictures of whole lines of $eval_sets" \
  "bits per pixel, NELBOs, codebook use, reading from codes"
