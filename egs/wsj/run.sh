#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Phone recognition through a vector-quantised bottleneck on the Wall Street Journal corpus (section IV-A of the paper),
# or, with --data mini, on a small corpus that is made on the spot and needs no licence.
set -euo pipefail
caller=$PWD
invocation="egs/wsj/run.sh$(printf ' %q' "$@")"
cd "$(dirname "${BASH_SOURCE[0]}")"
corpus=WSJ

options="stage stop_stage data corpus wsj0 wsj1 spkrinfo kaldi_exp kaldi_root ctm silence_phones train_config variants seeds expdir datadir
  dumpdir nj ngpu max_bad max_unaligned channel feature_backend cmvn token_type vocab_size train_options tag results_name mini_utterances"
stage=0 stop_stage=6
data='' wsj0='' wsj1='' spkrinfo='' kaldi_exp='' kaldi_root='' ctm='' silence_phones=''
train_config='' variants=bn_reest_lr seeds=1 train_options='' tag=''
expdir='' datadir='' dumpdir='' results_name='' mini_utterances=360
nj=2 ngpu=0 max_bad=0.05 max_unaligned=0.15 channel='' feature_backend=kaldi cmvn=global token_type=phn vocab_size=100
. ./path.sh
. ../../utils/speech.sh
usage='usage: egs/wsj/run.sh --wsj0 DIR --wsj1 DIR [--kaldi_exp DIR] | --data mini|DIR [--stage N] [--stop_stage N] [OPTION VALUE ...]

stages: 0 data preparation, 1 alignments, 2 features, 3 training, 4 decoding, 5 scoring, 6 report

--data mini         a small corpus, spoken by espeak-ng, made on the spot: shows that the pipeline works
--data DIR          a folder with the Kaldi data directories train_si284, test_dev93 and test_eval92, as Kaldi'"'"'s
                    egs/wsj/s5/data has them; wav.scp may name wav, flac, MP3 or SPHERE files, wav.ark:offset, or commands (sph2pipe ... |)
--corpus NAME       what results on --data DIR are called, if they are not on WSJ; by default the name of the folder
                    (that above data or s5), where its train_si284 has not as many utterances as WSJ'"'"'s. The report
                    sets the paper'"'"'s numbers beside WSJ alone
--wsj0 DIR, --wsj1 DIR   the discs of LDC93S6 and LDC94S13: disc folders (11-1.1, ...) or merged trees; with
                    --spkrinfo FILE, the LDC'"'"'s wsj0-train-spkrinfo.txt, genders are known too (nothing needs them)
--train_config LIST files read before conf/train_<variant>.yaml: conf/base.yaml is the authors'"'"' size for a GPU,
                    "conf/base.yaml conf/small.yaml" one for two cores, and --data mini takes
                    "conf/base.yaml conf/mini.yaml"
                    (in your folder, else in the recipe'"'"'s; a path with blanks among several is quoted)
--expdir, --datadir, --dumpdir   where runs, data directories and features go: exp, data, dump;
                    with --data mini exp/mini and the folders data and dump in it
--mini_utterances N how many utterances the mini corpus has: 360
'"$speech_usage"
. ../../utils/parse_options.sh
. ./cmd.sh
# A later stage goes on with what an earlier call prepared.
if [ -z "$data" ] && [ "$stage" -ge 2 ]; then
  if [ -d data/train_si284 ]; then data=data; elif [ -d exp/mini/data/train ]; then data=mini; fi
fi
if [ -n "$wsj0$wsj1" ]; then
  [ -z "$data" ] || fail "--data and --wsj0, --wsj1 are two ways to say the same: give one"
  if [ -z "$wsj0" ] || [ -z "$wsj1" ]; then fail "--wsj0 and --wsj1 go together: the training set is on the discs of both"; fi
  data=discs
fi
[ -n "$data" ] || fail "--data is missing. WSJ is licensed (LDC93S6, LDC94S13): give its discs with --wsj0 DIR --wsj1 DIR, \
or --data DIR, a folder with its Kaldi data directories; or try --data mini, a small corpus made on the spot; or egs/speechocean762/run.sh, free speech"
resolve_given expdir datadir dumpdir
case $data in
  mini)
    train_set=train eval_sets=dev extras=recipes,mini
    : "${train_config:=conf/base.yaml conf/mini.yaml}" "${expdir:=exp/mini}"
    : "${datadir:=$expdir/data}" "${dumpdir:=$expdir/dump}"
    ;;
  *)
    train_set=train_si284 eval_sets="test_dev93 test_eval92" extras=recipes,wsj
    : "${train_config:=conf/base.yaml}" "${expdir:=exp}" "${datadir:=data}" "${dumpdir:=dump}"
    [ "$data" = discs ] || data=$(absolute "$data")
    wsj0=$(absolute "$wsj0") wsj1=$(absolute "$wsj1") spkrinfo=$(absolute "$spkrinfo") kaldi_exp=$(absolute "$kaldi_exp") kaldi_root=$(absolute "$kaldi_root") ctm=$(absolute "$ctm")
    ;;
esac
dev_set=${eval_sets%% *} data_sets="$train_set $eval_sets"
check_cmvn
check_token_type
find_train_config
expand_variants
use_environment "$(text_extra "$(peers_extra "$extras")")"

# corpus_in FOLDER: what to call the data in it: WSJ if the training set has as many utterances, less what --max_bad might
# leave out of it.
corpus_in() {
  local count folder
  count=$(wc -l <"$1/$train_set/utt2spk")
  if [ "$count" -le 37416 ] && [ "$count" -ge 35545 ]; then echo WSJ; return; fi
  folder=$(realpath "$1")
  while case ${folder##*/} in data | s5 | s5[a-z]) ;; *) false ;; esac; do folder=${folder%/*}; done
  folder=${folder##*/}
  echo "${folder:-a corpus without a name}"
}

if begin_stage 0 "data preparation: $data to $(shown "$datadir")/"; then
  if [ "$data" = mini ]; then
    vqbn-make-mini-speech --out "$datadir" --utterances "$mini_utterances" --nj "$nj"
  elif [ "$data" = discs ]; then
    vqbn-prepare-wsj --wsj0 "$wsj0" --wsj1 "$wsj1" --out "$datadir" --sets "$data_sets" --max_bad "$max_bad" \
      ${spkrinfo:+--spkrinfo "$spkrinfo"}
  else
    for set in $data_sets; do
      vqbn-validate-data-dir "$data/$set" ${channel:+--channel "$channel"}
      mkdir -p "$datadir/$set"
      for file in wav.scp reco2file_and_channel segments text utt2spk spk2utt spk2gender; do
        [ ! -f "$data/$set/$file" ] || cp "$data/$set/$file" "$datadir/$set/$file"
      done
    done
  fi
  if [ "$data" != mini ]; then
    case " $given_options " in
      *" corpus "*) ;;
      *) [ "$data" = discs ] || corpus=$(corpus_in "$data") ;;
    esac
    echo "$corpus" >"$datadir/corpus"
  fi
  end_stage "wrote$(for set in $data_sets; do printf ' %s' "$(shown "$datadir/$set")"; done)"
fi

if begin_stage 1 "alignments, to $(shown "$datadir")/*/phones.ctm"; then
  if [ "$data" = mini ]; then
    for set in $train_set $eval_sets; do
      vqbn-import-alignments --ctm "$datadir/$set/true_phones.ctm" --set "$datadir/$set"
    done
    echo espeak-ng >"$datadir/alignment_source"
  else
    # shellcheck disable=SC2119
    import_alignments
  fi
  make_tokens
  end_stage "wrote $(shown "$datadir")/*/phones.ctm"
fi

if begin_stage 2 "features, and the join with the alignments, to $(shown "$dumpdir")/"; then
  make_features
  end_stage "wrote $(shown "$dumpdir")/; the joined counts are in $(shown "$dumpdir")/report.txt"
fi

name_results

run_speech_stages
