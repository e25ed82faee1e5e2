#!/usr/bin/env bash
# Make everything ready that `make demo` and `make test` need: system libraries and the environment in .venv.
# A second call finds the stamp of the first one and is done at once.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/system-libraries.sh

venv=${VENV:-.venv}
stamp=$venv/.naslora-ready
wanted=$(cat pyproject.toml napari.yaml | cksum)" $(pwd)"
if [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=
for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if good_python "$candidate"; then python=$candidate && break; fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or newer was not found; install it, or name it with: make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi

echo "Setting up $venv with $("$python" --version): several gigabytes and some minutes the first time." >&2
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv"
fi
rm -f "$stamp"
# Python compiles what is imported, when it is; pip would compile all, of which most is never used.
"$venv/bin/python" -m pip install -q --no-compile torch torchvision
"$venv/bin/python" -m pip install -q --no-compile -e '.[all,testing]'
echo "$wanted" >"$stamp"
