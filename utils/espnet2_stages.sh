# shellcheck shell=bash disable=SC2154
# Sourced by the speech recipes' run_espnet2.sh: the stages from ESPnet's data on, the same for every corpus.
use_espnet

if begin_stage 2 "$token_type targets, and data for ESPnet, to $(shown "$espnet_data")/"; then
  espnet_targets
  end_stage "wrote $(shown "$espnet_data")/"
fi

name_results

if begin_stage 3 "training in ESPnet2: $variants, seeds $seeds, in $(shown "$expdir")/"; then
  espnet_stats
  for_each_run espnet_train_run
  end_stage
fi

if begin_stage 4 "decoding $eval_sets with ESPnet2, beam $beam_size"; then
  for_each_run espnet_decode_run
  end_stage "wrote $(shown "$expdir")/espnet2_${tag}_*/decode_*/"
fi

if begin_stage 5 "scoring, with ESPnet's scorer and with ours"; then
  for variant in $variants; do
    for seed in $seeds; do espnet_score_run "$variant" "$seed"; done
  done
  end_stage "wrote $(shown "$expdir")/espnet2_${tag}_*/decode_*/scores.json${results:+ and $(shown "$results")/; run.sh --stage 6 reports them}"
fi
