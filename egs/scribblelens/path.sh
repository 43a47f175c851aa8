# shellcheck shell=bash
# Sourced by run.sh and local/*.sh: where vqbn is, and the functions that every recipe uses.
VQBN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export VQBN_ROOT
export LC_ALL=C
. "$VQBN_ROOT/utils/recipe.sh"
