#!/usr/bin/env bash
# Runs every check: sets up .venv if needed, then ruff, shellcheck (where it is installed) and the tests.
# usage: tests/run.sh [PYTEST ARGUMENT ...]
# Tests on real data need VQBN_TEST_DATA, a folder with the real corpora; a folder shared/data beside the checkout is
# taken by itself. Without it those tests are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh --extras recipes,mini,images,align,wsj,torchaudio,peers,test
# ESPnet can't be installed everywhere: it needs a C++ compiler and a Python before 3.13.
tools/setup.sh --extras espnet || echo "ESPnet can't be installed, for the reason above: its tests are skipped" >&2
export PATH=$PWD/.venv/bin:$PATH
# Two test processes share the machine: one thread each is faster than two that fight.
export OMP_NUM_THREADS=1
if [ -z "${VQBN_TEST_DATA:-}" ] && [ -d ../shared/data ]; then
  VQBN_TEST_DATA=$(cd ../shared/data && pwd)
  export VQBN_TEST_DATA
fi

ruff check .
ruff format --check .
if command -v shellcheck >/dev/null; then
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
else
  echo "shellcheck is not installed: shell scripts are not checked"
fi
pytest -n 2 --dist loadfile "$@"
