#!/bin/sh
# Makes .cache/oracles/NAME with the program that the tests compare with, for each NAME.lock here, or for those named.
# Every one is a separate program in an environment of its own; nothing of it is ever imported.
set -eu
here=$(dirname "$0")
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.lock | sed 's|^./||; s|\.lock$||')
for name; do
    lock=$here/$name.lock
    venv=.cache/oracles/$name
    stamp=$venv/installed-$(sha256sum "$lock" | cut -c1-16)
    [ -e "$stamp" ] && continue
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check install -q --require-hashes -r "$lock"
    rm -f "$venv"/installed-*
    : > "$stamp"
done
