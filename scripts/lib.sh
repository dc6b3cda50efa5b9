# Shared by scripts/setup, scripts/check and scripts/test: running steps, and installing their tools.
# To be sourced at the root of the repository.
#
# BUF, PYTHON and PROMTOOL are for the scripts that source this.
# shellcheck disable=SC2034

readonly BUF_VERSION=1.75.0
readonly CARGO_DENY_VERSION=0.20.2
readonly GRPCURL_VERSION=0.2.1

readonly TOOLS="$PWD/target/tools"

# The Debian package of each command.
declare -rA PACKAGE_OF=(
    [c++]=g++ [cc]=gcc [curl]=curl [git]=git [haproxy]=haproxy [npm]=npm [openssl]=openssl
    [python3]=python3 [strace]=strace [systemd-analyze]=systemd
)
# Debian installs some of them where only root looks.
PATH="$PATH:/usr/sbin"

# Runs the steps that are named, or all of them: run_steps PROGRAM "ALL STEPS" [STEP...]
run_steps() {
    local program=$1 step started=$SECONDS
    local -a all times=()
    read -ra all <<<"$2"
    shift 2
    (($# > 0)) || set -- "${all[@]}"
    for step in "$@"; do
        if [[ " ${all[*]} " != *" $step "* ]]; then
            echo "$program: no step '$step'; there are: ${all[*]}" >&2
            exit 64
        fi
    done
    trap 'report_failure "$?" '"$program" EXIT
    for step in "$@"; do
        current=$step
        printf '\n==> %s\n' "$step"
        local began=$SECONDS
        "step_$step"
        times+=("$(printf '%6d s  %s' $((SECONDS - began)) "$step")")
    done
    current=
    printf '\n==> times\n'
    printf '%s\n' "${times[@]}"
    printf '\n%s: all %d steps passed in %d s\n' "$program" $# $((SECONDS - started))
}

current=
report_failure() {
    local status=$1 program=$2
    if [[ -n $current ]]; then
        printf '\n%s: FAILED in step %s (exit status %d)\n' "$program" "$current" "$status" >&2
    fi
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "This needs root or sudo: $*" >&2
        return 1
    fi
}

install_packages() {
    local command
    local -a missing=()
    for command in "${!PACKAGE_OF[@]}"; do
        command -v "$command" >/dev/null || missing+=("${PACKAGE_OF[$command]}")
    done
    # A compiler without the headers of the C library compiles nothing.
    [[ -e /usr/include/stdio.h ]] || missing+=(libc6-dev)
    # Without this part Python cannot make an environment.
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    if ((${#missing[@]} > 0)); then
        echo "installing ${missing[*]}"
        as_root apt-get update >/dev/null
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

require_rust() {
    cargo --version
    if ! cargo fmt --version || ! cargo clippy --version; then
        rustup component add rustfmt clippy
    fi
}

# Sets PROMTOOL. The package would start a server if it were installed, so it is only unpacked.
install_promtool() {
    PROMTOOL=$(command -v promtool || echo "$TOOLS/prometheus/usr/bin/promtool")
    if [[ ! -x $PROMTOOL ]]; then
        mkdir --parents "$TOOLS/prometheus"
        (
            cd "$TOOLS/prometheus"
            as_root apt-get update >/dev/null
            apt-get download prometheus
            dpkg-deb --extract prometheus_*.deb .
            rm prometheus_*.deb
        )
    fi
    "$PROMTOOL" --version | head -n 1
}

# Does nothing for a crate that is there in the pinned version. Unoptimised, because these tools run
# for seconds and compile for minutes.
install_crates() {
    echo "cargo-deny $CARGO_DENY_VERSION, grpcurl-rs $GRPCURL_VERSION; building them takes minutes"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked \
        --root "$TOOLS" --target-dir "$TOOLS/build" \
        "cargo-deny@$CARGO_DENY_VERSION" "grpcurl-rs@$GRPCURL_VERSION"
    rm -rf "$TOOLS/build"
}

# Sets BUF. The package is a launcher; the program is in the package beside it for this machine.
install_buf() {
    local modules="$TOOLS/node_modules/@bufbuild"
    if ! grep --quiet "\"version\": \"$BUF_VERSION\"" "$modules/buf/package.json" 2>/dev/null; then
        npm install --prefix "$TOOLS" --no-save --ignore-scripts --no-audit --no-fund "@bufbuild/buf@$BUF_VERSION"
    fi
    BUF=$(echo "$modules"/buf-*/bin/buf)
}

# Sets PYTHON, the directory of the programs. Does nothing if the same list was installed before.
install_python_tools() {
    local list=scripts/requirements.txt place="$TOOLS/python"
    if ! cmp --silent "$list" "$place/requirements.txt"; then
        echo "installing $list"
        python3 -m venv --clear "$place"
        "$place/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
        cp "$list" "$place/requirements.txt"
    fi
    PYTHON="$place/bin"
}

# The modules of the clients in Node.js. Does nothing if the same list was installed before.
install_node_modules() {
    local list=tests/clients/package.json place="$TOOLS/clients"
    if ! cmp --silent "$list" "$place/installed.json"; then
        mkdir --parents "$place"
        cp "$list" "$place/package.json"
        npm install --prefix "$place" --ignore-scripts --no-package-lock --no-audit --no-fund
        cp "$list" "$place/installed.json"
    fi
}
