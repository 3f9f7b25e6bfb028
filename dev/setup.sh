#!/bin/sh
# Makes .venv from the hash-pinned lock and fetches the browser libraries of the staff view, and the
# packages of npm that tests drive our pages and our sign-in with.
# It does nothing when neither lock has changed since the last time.
set -eu
cd "$(dirname "$0")/.."

UV=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-uv.lock)
LOCK=requirements-dev.lock
PYTHON_STAMP=.venv/.installed
NPM_STAMP=node_modules/.installed

fail() {
    echo "$*" >&2
    exit 1
}

is_usable() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null
}

# The first python3 on the PATH may be too old, or lie in a directory of somebody else's.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
        if is_usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or later is needed; name it with PYTHON=/path/to/python3 make setup"
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get install -qq -y python3-venv >/dev/null ||
                { apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; } ||
                fail "python3-venv could not be installed."
        else
            fail "$python has no ensurepip; install it: sudo apt-get install python3-venv"
        fi
    fi
    "$python" -m venv --clear .venv
}

install_packages() {
    if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$UV" ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock ||
            fail "The Python packages cannot be fetched: is the package registry reachable?"
    fi
    # uv does not read pip's settings, and a machine may have its registry named only there.
    if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
        UV_DEFAULT_INDEX=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
    fi
    if [ -n "$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
    # Compiled once here, not by each of a dozen processes at each start.
    VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip sync --quiet --compile-bytecode --system-certs --require-hashes "$LOCK" ||
        {
            echo "uv could not install the packages; trying pip, which takes a minute." >&2
            .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$LOCK"
        } ||
        fail "The Python packages cannot be fetched: is the package registry reachable?"
}

setup_python() {
    wanted="uv $UV, $(sha256sum <"$LOCK")"
    if is_usable .venv/bin/python; then
        [ "$(cat "$PYTHON_STAMP" 2>/dev/null)" = "$wanted" ] && return
    else
        make_venv
    fi
    rm -f "$PYTHON_STAMP"
    install_packages
    echo "$wanted" >"$PYTHON_STAMP"
}

# The staff view works without JavaScript, so a missing npm or registry stops nothing; the tests that
# need npm's packages are skipped by name.
setup_browser_libraries() {
    [ -f package-lock.json ] || return 0
    wanted=$(sha256sum <package-lock.json)
    [ -d admin/static/vendor ] && [ "$(cat "$NPM_STAMP" 2>/dev/null)" = "$wanted" ] && return
    if ! command -v npm >/dev/null; then
        echo "Warning: npm is missing, so the staff view runs without its maps and live updates (apt-get install npm)." >&2
        return
    fi
    if ! npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error </dev/null >/dev/null ||
        ! .venv/bin/python -m dev.vendor; then
        echo "Warning: its libraries could not be fetched, so the staff view runs without its maps and live updates." >&2
        return
    fi
    echo "$wanted" >"$NPM_STAMP"
}

setup_python
setup_browser_libraries
