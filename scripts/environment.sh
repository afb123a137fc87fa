# The environment that breakroom's own commands run in: found if it is ready, made if it is not.
#
# Sourced by ./breakroom, scripts/test, scripts/check and scripts/coverage, with $root set to the checkout. `environment run`
# or `environment dev` sets $venv, or ends the command with a message that says what to do. An environment is ready
# when its stamp (written last, by scripts/make_environment.py) names this checkout and holds this lock file. Only
# reading the stamp is on the way of every start: one `cmp`, a few milliseconds.
# shellcheck shell=sh

# ready VENV LOCK: whether VENV was made completely, here, from this LOCK, by a Python that is still there.
ready() {
    [ -x "$1/bin/python" ] && [ -r "$1/.breakroom/made" ] || return 1
    { IFS= read -r made_for && IFS= read -r made_by; } <"$1/.breakroom/made" || return 1
    [ "$made_for" = "$root" ] && [ -x "$made_by" ] && cmp -s "$root/$2" "$1/.breakroom/$2"
}

environment() {
    case $1 in
    dev) lock=requirements-dev.lock ;;
    *) lock=requirements.lock ;;
    esac
    venv=${BREAKROOM_VENV:-$root/.venv}
    case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
    ready "$venv" "$lock" && keep_bytecode && return
    if [ -z "${BREAKROOM_VENV:-}" ] && [ ! -w "$root" ]; then
        # A checkout that cannot be written to: its environment lives in the user's cache, one for each such checkout.
        name=$(printf %s "$root" | cksum)
        venv=${XDG_CACHE_HOME:-$HOME/.cache}/breakroom/${name%% *}/venv
        ready "$venv" "$lock" && keep_bytecode && return
    fi
    python=$(find_python) || exit 1
    "$python" -I -S -B "$root/scripts/make_environment.py" "$root" "$venv" "$lock" || exit $?
    keep_bytecode
}

# keep_bytecode: where people have Python write no bytecode beside sources (many containers do), ours lies in the environment.
# Without any, every process of a run would compile all that it imports: 1.6 s instead of 0.3 for one that talks to Docker.
keep_bytecode() {
    [ -n "${PYTHONDONTWRITEBYTECODE:-}" ] && [ -z "${PYTHONPYCACHEPREFIX:-}" ] || return 0
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX="$venv/bytecode"
}

# find_python: prints the Python to make the environment with. Trying is the only test: a name on the path may be a
# version manager's stand-in for a Python that is not installed.
find_python() {
    for candidate in ${BREAKROOM_PYTHON:+"$BREAKROOM_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    {
        echo "breakroom needs Python 3.11 or newer and found none."
        if found=$(python3 --version 2>/dev/null); then
            echo "  python3 is: $found"
        fi
        echo "  Debian 12, Ubuntu 24.04 and newer:  sudo apt install python3 python3-venv"
        echo "  macOS:                              brew install python"
        echo "  If it is installed under another name:  BREAKROOM_PYTHON=/path/to/python3 ./breakroom"
    } >&2
    return 1
}
