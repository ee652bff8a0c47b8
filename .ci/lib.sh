# Shared by the scripts beside this file; sourced, never run.
# Every script starts with: cd "$(dirname "$0")/.." && . .ci/lib.sh

TARGET_DIR=${CARGO_TARGET_DIR:-target}

# say TEXT... : a headline that can be found in a long log.
say() { printf '\n==> %s\n' "$*" >&2; }

# fail TEXT... : says what is wrong and how to mend it, and ends the script.
fail() {
    printf '\nERROR: %s\n' "$*" >&2
    exit 1
}

# step SECONDS TITLE COMMAND... : runs the command, says how long it took, keeps its exit code. In CI the command
# is ended after SECONDS: a hanging step must fail, not eat the run. At a terminal a person has Ctrl-C, and
# `timeout` would take that away by moving the command to a process group of its own.
step() {
    local limit=$1 title=$2 began=$SECONDS code=0
    shift 2
    say "$title"
    if [[ -n ${CI:-} ]] && command -v timeout >/dev/null; then
        timeout --kill-after=30 "$limit" "$@" || code=$?
        [[ $code -ne 124 ]] || printf 'ended after its limit of %s s\n' "$limit" >&2
    else
        "$@" || code=$?
    fi
    printf '    %s: %s in %s s\n' "$title" "$([[ $code -eq 0 ]] && echo ok || echo "FAILED ($code)")" \
        $((SECONDS - began)) >&2
    return "$code"
}

# apt_install PACKAGE... : installs Debian packages when we may; 1 when we may not.
apt_install() {
    command -v apt-get >/dev/null && [[ $(id -u) -eq 0 ]] || return 1
    say "installing $* with apt-get"
    local options=(-qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=60)
    export DEBIAN_FRONTEND=noninteractive
    # An index that is too old names packages that are gone, so a first failure gets a fresh one.
    apt-get "${options[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 ||
        { apt-get "${options[@]}" update >&2 &&
            apt-get "${options[@]}" install --no-install-recommends "$@" >&2; }
}

# need_python : python3 (3.11 or later, for tomllib) that can make virtual environments.
need_python() {
    local probe='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
    python3 -c "$probe" 2>/dev/null && return
    apt_install python3 python3-venv || true
    python3 -c "$probe" 2>/dev/null && return
    fail "python3 3.11 or later with its venv module is missing, and could not be installed by itself;" \
        "as root on Debian: apt-get install python3 python3-venv"
}

# need_servers : PostgreSQL, MariaDB, Redis and nginx, which tests start themselves, each an instance of its own.
need_servers() {
    local missing=()
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
    [[ -x /usr/sbin/mariadbd ]] || command -v mariadbd >/dev/null || missing+=(mariadb-server)
    command -v redis-server >/dev/null || missing+=(redis-server)
    [[ -x /usr/sbin/nginx ]] || command -v nginx >/dev/null || missing+=(nginx)
    [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}" ||
        fail "missing: ${missing[*]}; as root on Debian: apt-get install ${missing[*]}"
}
