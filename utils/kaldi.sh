# shellcheck shell=bash disable=SC2154
# Sourced by local/train_tri3b.sh: runs Kaldi's own scripts in $work, each once, with our data directories.
# The script sets: kaldi_root, work, datadir, sets, nj, kaldi_cmd.

# kaldi_jobs SET: no more jobs than speakers, as Kaldi divides sets by speaker.
kaldi_jobs() {
  local speakers
  speakers=$(wc -l <"$work/data/$1/spk2utt")
  echo $((speakers < nj ? speakers : nj))
}

# in_kaldi COMMAND ...: runs a command in $work with Kaldi's paths, which are not made for set -u.
in_kaldi() (
  cd "$work" || exit 1
  set +eu
  # shellcheck source=/dev/null
  . ./path.sh
  "$@"
)

# kaldi_step FOLDER COMMAND ...: runs a command of Kaldi that makes FOLDER, unless an earlier run finished it.
kaldi_step() {
  local folder=$1
  shift
  [ ! -f "$work/$folder/.finished" ] || return 0
  log "kaldi: $*"
  in_kaldi "$@" || fail "Kaldi's $1 failed; its message is above, its logs are in $work/$folder/log"
  [ -d "$work/$folder" ] || fail "Kaldi's $1 made no $work/$folder"
  touch "$work/$folder/.finished"
}

# kaldi_features SET ...: MFCCs and CMVN statistics.
kaldi_features() {
  local set
  for set in "$@"; do
    [ ! -f "$work/data/$set/.finished" ] || continue
    in_kaldi steps/make_mfcc.sh --cmd "$kaldi_cmd" --nj "$(kaldi_jobs "$set")" "data/$set" ||
      fail "Kaldi's steps/make_mfcc.sh failed on $set; its message is above"
    kaldi_step "data/$set" steps/compute_cmvn_stats.sh "data/$set"
  done
}

# kaldi_align SCRIPT SET LANG MODEL OUT [OPTION ...]
kaldi_align() {
  local script=$1 set=$2 lang=$3 model=$4 out=$5
  shift 5
  kaldi_step "$out" "steps/$script" "$@" --nj "$(kaldi_jobs "$set")" --cmd "$kaldi_cmd" "data/$set" "$lang" "$model" "$out"
}

# kaldi_prepare [OPTION ...]: the folder, and the features of all sets. kaldi_lang: data/lang_nosp from the dictionary.
kaldi_prepare() {
  local set options=()
  for set in $sets; do options+=(--set "$datadir/$set"); done
  vqbn-prepare-kaldi --kaldi_root "$kaldi_root" --out "$work" "${options[@]}" "$@"
  # shellcheck disable=SC2086
  kaldi_features $sets
}

kaldi_lang() {
  kaldi_step data/lang_nosp utils/prepare_lang.sh data/local/dict_nosp '<SPOKEN_NOISE>' data/local/lang_tmp_nosp data/lang_nosp
}

# align_with_model: $sets with the model that $kaldi_exp has (tri3b, or its folder), in $work/exp.
align_with_model() {
  local model=$kaldi_exp lang set recipe
  [ -f "$model/final.mdl" ] || model=$kaldi_exp/tri3b
  [ -f "$model/final.mdl" ] || fail "--kaldi_exp $kaldi_exp: has no final.mdl here or in tri3b"
  recipe=$(cd "$model/../.." && pwd)
  lang=$recipe/data/lang_nosp
  [ -d "$lang" ] || lang=$recipe/data/lang
  [ -d "$lang" ] || fail "$recipe/data: has no lang_nosp or lang, which alignment with $model needs"
  if [ -f "$recipe/conf/mfcc.conf" ]; then kaldi_prepare --mfcc_conf "$recipe/conf/mfcc.conf"; else kaldi_prepare; fi
  for set in $sets; do
    kaldi_align align_fmllr.sh "$set" "$lang" "$model" "exp/tri3b_ali_$set"
  done
}
