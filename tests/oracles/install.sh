#!/bin/sh
# Makes .cache/oracles/venv with the programs that the tests compare with; nothing of it is ever imported by the scanner.
set -eu
here=$(dirname "$0")
lock=$here/requirements.lock
venv=.cache/oracles/venv
stamp=$venv/installed-$(sha256sum "$lock" | cut -c1-16)
[ -e "$stamp" ] && exit 0
python=${PYTHON:-python3}
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check install -q --require-hashes -r "$lock"
rm -f "$venv"/installed-*
: > "$stamp"
