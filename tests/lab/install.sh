#!/bin/sh
# Installs what the lab needs on Debian 12, as root; no service starts by being installed.
set -eu
here=$(dirname "$0")
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
packages=$(grep -v '^#' "$here/packages.txt")
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null | grep -c ' installed$' || true)
if [ "$installed" != "$(echo "$packages" | wc -l)" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    # shellcheck disable=SC2086 -- one word each
    apt-get -q install -y --no-install-recommends $packages
fi
unpacked="$(cd "$here/../.." && pwd)/.cache/unpacked"
for package in $(grep -v '^#' "$here/unpacked.txt"); do
    [ -e "$unpacked/$package" ] && continue
    rm -rf "$unpacked/new" && mkdir -p "$unpacked/new"  # what an interrupted one left behind belongs to another
    (cd "$unpacked/new" && apt-get -q download "$package" && dpkg -x "$package"_*.deb . && rm "$package"_*.deb)
    mv "$unpacked/new" "$unpacked/$package"
done
