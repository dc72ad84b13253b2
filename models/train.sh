#!/bin/sh
# Retrains the built-in model from nothing, measures it, and replaces
# mote-builtin.gguf, eval.json, heldout.jsonl and the tables of README.md.
# Two hours at most on two cores.
#
#   models/train.sh [WORK_DIR]      default: models/.work (ignored by git)
#
# Run again after an interruption, it goes on from the last checkpoint.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/.work}
python=${PYTHON:-python3}
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
fi
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
run=$work/venv/bin/python
"$run" "$here/train.py" --out "$work/run"
"$run" "$here/export.py" --run "$work/run" --out "$here/mote-builtin.gguf"
"$run" "$here/evaluate.py" --gguf "$here/mote-builtin.gguf" --run "$work/run" \
    --out "$here/eval.json" --sample "$here/heldout.jsonl"
"$run" "$here/card.py"
"$run" "$here/test_split.py"
