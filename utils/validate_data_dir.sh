#!/usr/bin/env bash
# Checks a Kaldi data directory: sorted, unique, consistent. Prints each problem with its file and line.
# usage: utils/validate_data_dir.sh DIR [DIR ...]
set -euo pipefail
VQBN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$VQBN_ROOT/utils/recipe.sh"
use_environment recipes
exec vqbn-validate-data-dir "$@"
