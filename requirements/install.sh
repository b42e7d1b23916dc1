#!/bin/sh
# Makes .venv with the locked packages and this project: requirements/install.sh LOCKFILE
# Needs python3 only. Where Debian's python3 comes without pip and venv: root installs python3-venv, an ordinary user
# unpacks Debian's own, signed python3-pip-whl inside .venv. Every package is checked against the hash in the lock file.
set -eu
lock=$1
python=${PYTHON:-python3}
stamp=.venv/installed-$(cat "$lock" pyproject.toml scanner/_version.py | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "keurmeester needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }

pip=
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    [ -x .venv/bin/pip ] || "$python" -m venv .venv
else
    [ -x .venv/bin/python ] || "$python" -m venv --without-pip .venv
    apt=$PWD/.venv/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    own="-o Dir::State::Lists=$apt/lists -o Dir::Cache=$apt/cache -o Debug::NoLocking=1"
    # shellcheck disable=SC2086 -- these are words
    (cd "$apt" && apt-get $own update -qq && apt-get $own download -qq python3-pip-whl)
    dpkg-deb -x "$apt"/python3-pip-whl_*.deb "$apt"
    pip=$(echo "$apt"/usr/share/python-wheels/pip-*.whl)
fi

run_pip() { PYTHONPATH=$pip .venv/bin/python -m pip --disable-pip-version-check "$@"; }
run_pip install -q --require-hashes -r "$lock"
run_pip install -q --no-deps --no-build-isolation -e .
rm -f .venv/installed-*
: > "$stamp"
