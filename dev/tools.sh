#!/bin/sh
# Sees to the programs that some tests drive: root gets them installed, everyone else is told which
# are missing and how to get them; the tests that need them are skipped by name.
set -eu

packages=
need() {
    # nginx lies in /usr/sbin, which is not on the PATH of ordinary users.
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null || packages="$packages $2"
}
need chromium chromium
need nginx nginx
need exiftool libimage-exiftool-perl
need bwrap bubblewrap
need strace strace
need curl curl
need openssl openssl
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing for some tests, which are skipped:$packages"
    echo "To have them run: sudo apt-get install --no-install-recommends$packages"
    exit 0
fi

# Installing nginx would start it as a service of the machine; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing for the tests:$packages"
# shellcheck disable=SC2086 # a list of words
install() { apt-get install -qq -y --no-install-recommends $packages </dev/null >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; } ||
    echo "They could not be installed; the tests that need them are skipped."
