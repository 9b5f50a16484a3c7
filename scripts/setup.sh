#!/usr/bin/env bash
# Brings everything that demo, tests and benchmarks need into .lab/ and .venv/, and nothing anywhere else.
#
# Law: the host's own servers are never touched. Asterisk, SIPp, mosquitto, PostgreSQL, promtool, libfaketime and
# Chromium are unpacked (apt's resolver with folders of its own, then dpkg-deb -x), so no maintainer script runs and
# nothing is started; one that is on PATH is used as it is. Fonts are always our own: a page looks the same on every
# machine. Only python3-venv, ca-certificates, npm and libatomic1 are installed, where missing.
# Each step leaves a stamp with the hash of what it was made from, so the next run takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."
TOP=$PWD
LAB=$TOP/.lab
STAMPS=$LAB/stamps
BIN=$LAB/bin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PIP_CACHE_DIR=$LAB/cache/pip npm_config_cache=$LAB/cache/npm PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_ROOT_USER_ACTION=ignore npm_config_update_notifier=false
mkdir -p "$STAMPS" "$BIN" "$LAB/cache" "$LAB/log"

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# step NAME FINGERPRINT WHAT FUNCTION: runs FUNCTION unless it already ran for this fingerprint.
step() {
    local name=$1 print=$2 what=$3 run=$4 begun=$SECONDS
    [ "$(cat "$STAMPS/$name" 2>/dev/null)" = "$print" ] && return 0
    printf 'setup: %-58s' "$what"
    rm -f "$STAMPS/$name"
    local status
    set +e # a subshell in a condition would ignore its own set -e
    (set -e; "$run") >"$LAB/log/$name.log" 2>&1
    status=$?
    set -e
    if [ $status != 0 ]; then
        printf ' failed\n'
        tail -n 15 "$LAB/log/$name.log" >&2
        fail "$what failed; the whole output is in .lab/log/$name.log. Mend what it names and run 'make setup' again"
    fi
    printf '%s' "$print" >"$STAMPS/$name"
    printf ' %3d s\n' $((SECONDS - begun))
}

hash_of() { cat "$@" | sha256sum | cut -c1-16; }

# found NAME [FOLDER...]: the path of a program of the host's own, never one of our wrappers.
found() {
    local name=$1 path
    shift
    path=$(PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$name" || true)
    for folder in "$@"; do [ -n "$path" ] || [ ! -x "$folder/$name" ] || path=$folder/$name; done
    [ "${CTID_SETUP_UNPACK:-}" = 1 ] && path=
    printf '%s' "$path"
}

# --- packages of the host itself, only where missing ------------------------------------------------------------
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
    else echo "needs root: run 'apt-get install ${WANTED[*]}' as root, then 'make setup' again"; return 1; fi
}
install_wanted() { as_root apt-get update -q; as_root apt-get install -q -y --no-install-recommends "${WANTED[@]}"; }

command -v apt-get >/dev/null || fail "needs Debian 12 or newer (no apt-get here); the README says how to install ctid alone"
command -v python3 >/dev/null || fail "needs python3 >= 3.11: apt-get install python3 python3-venv"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "needs Python >= 3.11, python3 here is $(python3 -V 2>&1): put a newer python3 first on PATH"
WANTED=()
python3 -c 'import ensurepip' 2>/dev/null || WANTED+=(python3-venv)
[ -e /etc/ssl/certs/ca-certificates.crt ] || WANTED+=(ca-certificates)
command -v npm >/dev/null || WANTED+=(npm)
/sbin/ldconfig -p | grep -q 'libatomic\.so\.1' || WANTED+=(libatomic1) # for the program within Playwright's package
[ ${#WANTED[@]} = 0 ] || step host "$(date +%s)" "installing ${WANTED[*]}" install_wanted

# --- programs unpacked from Debian's packages ---------------------------------------------------------------------
# unpack FOLDER STATUS-FILE APT-OPTION... -- PACKAGE...: the packages, with what they need beyond STATUS, into FOLDER.
unpack() {
    local into=$1 status=$2 apt=()
    shift 2
    local scratch=$into.apt
    rm -rf "$into" "$scratch"
    mkdir -p "$into" "$scratch/state/lists/partial" "$scratch/cache/archives/partial"
    apt=(-q -y -o "Dir::State=$scratch/state" -o "Dir::State::status=$status" -o "Dir::Cache=$scratch/cache"
        -o Debug::NoLocking=1 -o APT::Sandbox::User= -o APT::Install-Recommends=false
        -o Acquire::Languages=none -o Acquire::Retries=3)
    while [ "$1" != -- ]; do apt+=("$1"); shift; done
    shift
    apt-get "${apt[@]}" update || return 1
    apt-get "${apt[@]}" install --download-only "$@" || return 1
    for package in "$scratch"/cache/archives/*.deb; do dpkg-deb -x "$package" "$into" || return 1; done
    rm -rf "$scratch"
}

wrap() { # wrap NAME LINE...: a launcher .lab/bin/NAME
    local name=$1
    shift
    printf '%s\n' '#!/bin/sh' "$@" >"$BIN/$name"
    chmod +x "$BIN/$name"
}

unpack_asterisk() {
    local suite=$1 root=$LAB/asterisk-root mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $CODENAME" | head -n 1)
    [ -n "$mirror" ] || mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
    [ -n "$mirror" ] || { echo "apt knows no Debian mirror: add one to /etc/apt/sources.list.d"; return 1; }
    : >"$LAB/empty-status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$LAB/$suite.list"
    unpack "$root" "$LAB/empty-status" -o "Dir::Etc::SourceList=$LAB/$suite.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Acquire::Check-Valid-Until=false -- asterisk asterisk-moh-opsound-wav
}
debian_asterisk() {
    unpack_asterisk forky || unpack_asterisk sid || {
        echo "neither Debian's forky nor sid gave an asterisk: install Asterisk 18, 20 or 22 yourself; it is found on PATH"
        return 1
    }
    local root=$LAB/asterisk-root libraries loader
    libraries=$(dirname "$(echo "$root"/usr/lib/*/asterisk)")
    loader=$(echo "$libraries"/ld-linux-*.so.*)
    wrap asterisk "exec '$loader' --library-path '$libraries' --argv0 asterisk '$root/usr/sbin/asterisk' \"\$@\""
    printf '%s\n%s\n' "$libraries/asterisk/modules" "$root/usr/share/asterisk" >"$LAB/asterisk-folders"
    "$BIN/asterisk" -V
}
host_asterisk() {
    local folder modules=
    wrap asterisk "exec '$ASTERISK' \"\$@\""
    for folder in /usr/lib/*/asterisk/modules /usr/lib/asterisk/modules /usr/lib64/asterisk/modules /usr/local/lib/asterisk/modules; do
        [ -e "$folder/app_dial.so" ] && modules=$folder
    done
    [ -n "$modules" ] || { echo "found $ASTERISK but not its folder of modules"; return 1; }
    folder=/usr/share/asterisk
    [ -d "$folder/documentation" ] || folder=/var/lib/asterisk
    printf '%s\n%s\n' "$modules" "$folder" >"$LAB/asterisk-folders"
    "$BIN/asterisk" -V
}

POSTGRES_FOLDER=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
MISSING=()
SIPP=$(found sipp) MOSQUITTO=$(found mosquitto) POSTGRES=$(found postgres "$POSTGRES_FOLDER") PROMTOOL=$(found promtool)
[ -n "$SIPP" ] || MISSING+=(sip-tester)
[ -n "$MOSQUITTO" ] || MISSING+=(mosquitto)
[ -n "$POSTGRES" ] || MISSING+=(postgresql)
[ -n "$PROMTOOL" ] || MISSING+=(prometheus)

tools() {
    local root=$LAB/host-root libraries name path
    if [ ${#MISSING[@]} -gt 0 ]; then
        awk -v RS= -v ORS='\n\n' '!/^Package: (sip-tester|mosquitto|postgresql|prometheus)/' /var/lib/dpkg/status >"$LAB/host-status"
        unpack "$root" "$LAB/host-status" -- "${MISSING[@]}"
        mkdir -p "$root/lib" "$root/usr/lib" "$root/usr/bin" "$root/usr/sbin"
        libraries=$(find "$root/lib" "$root/usr/lib" -maxdepth 2 -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    fi
    for name in sipp mosquitto initdb postgres promtool; do
        case $name in
            sipp) path=$SIPP ;;
            mosquitto) path=$MOSQUITTO ;;
            promtool) path=$PROMTOOL ;;
            *) path=${POSTGRES:+$(dirname "$POSTGRES")/$name} ;;
        esac
        if [ -n "$path" ]; then
            wrap "$name" "exec '$path' \"\$@\""
        else
            path=$(find "$root/usr" -path "*/*bin/$name" -type f | sort -V | tail -n 1)
            [ -n "$path" ] || { echo "Debian's packages ${MISSING[*]} hold no $name"; return 1; }
            wrap "$name" "LD_LIBRARY_PATH='$libraries' exec '$path' \"\$@\""
        fi
    done
    "$BIN/postgres" --version; "$BIN/promtool" --version
}

CODENAME=$(. /etc/os-release; printf '%s' "${VERSION_CODENAME:-}")
made_by() { declare -f unpack wrap "$@" | sha256sum | cut -c1-16; }
ASTERISK=$(found asterisk)
if [ -n "$ASTERISK" ]; then
    step asterisk "$(made_by host_asterisk) $ASTERISK" "using Asterisk at $ASTERISK" host_asterisk
else
    step asterisk "$(made_by unpack_asterisk debian_asterisk) $TOP" "unpacking Asterisk 22" debian_asterisk
fi
step tools "$(made_by tools) $TOP $SIPP $MOSQUITTO $POSTGRES $PROMTOOL" "finding SIPp, mosquitto, PostgreSQL, promtool" tools

# --- a clock that can be moved --------------------------------------------------------------------------------------
# .lab/libfaketimeMT.so.1, for LD_PRELOAD; Asterisk's own loader takes it too. The other one, libfaketime.so.1, now and then shows
# one thread the real time while another reads the file.
clock() {
    local library=$FAKETIME root=$LAB/clock-root
    if [ -z "$library" ]; then
        awk -v RS= -v ORS='\n\n' '!/^Package: libfaketime/' /var/lib/dpkg/status >"$LAB/host-status"
        unpack "$root" "$LAB/host-status" -- libfaketime
        library=$(find "$root/usr/lib" -name libfaketimeMT.so.1)
        [ -n "$library" ] || { echo "Debian's package libfaketime holds no libfaketimeMT.so.1"; return 1; }
    fi
    ln -sfn "$library" "$LAB/libfaketimeMT.so.1"
    [ "$(LD_PRELOAD="$LAB/libfaketimeMT.so.1" FAKETIME='2001-01-01 12:00:00' date +%Y)" = 2001 ]
}
FAKETIME=$(find /usr/lib/*/faketime -name libfaketimeMT.so.1 2>/dev/null | head -n 1 || true)
[ "${CTID_SETUP_UNPACK:-}" = 1 ] && FAKETIME=
step clock "$(made_by clock) $TOP $FAKETIME" "finding libfaketime" clock

# --- a browser ----------------------------------------------------------------------------------------------------
fonts() {
    local root=$LAB/font-root
    : >"$LAB/empty-status"
    unpack "$root" "$LAB/empty-status" -- fonts-liberation fonts-wqy-microhei
    cat >"$LAB/fonts.conf" <<XML
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>$root/usr/share/fonts</dir>
  <cachedir>$LAB/cache/fonts</cachedir>
  <match target="pattern"><edit name="family" mode="append_last" binding="weak"><string>sans-serif</string></edit></match>
  <alias><family>sans-serif</family><prefer><family>Liberation Sans</family><family>WenQuanYi Micro Hei</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Liberation Serif</family><family>WenQuanYi Micro Hei</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>Liberation Mono</family><family>WenQuanYi Micro Hei Mono</family></prefer></alias>
</fontconfig>
XML
}
host_chromium() {
    wrap chromium "FONTCONFIG_FILE='$LAB/fonts.conf' exec '$CHROMIUM' \"\$@\""
    "$BIN/chromium" --version
}
debian_chromium() {
    local root=$LAB/browser-root libraries
    awk -v RS= -v ORS='\n\n' '!/^Package: chromium/' /var/lib/dpkg/status >"$LAB/host-status"
    unpack "$root" "$LAB/host-status" -- chromium
    mkdir -p "$root/lib"
    libraries=$(find "$root/lib" "$root/usr/lib" -maxdepth 3 -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    wrap chromium "export FONTCONFIG_FILE='$LAB/fonts.conf' LD_LIBRARY_PATH='$libraries'" \
        "exec '$root/usr/lib/chromium/chromium' \"\$@\""
    "$BIN/chromium" --version
}
CHROMIUM=$(found chromium)
step fonts "$(made_by fonts) $TOP" "unpacking fonts, Latin and Chinese" fonts
if [ -n "$CHROMIUM" ]; then
    step chromium "$(made_by host_chromium) $TOP $CHROMIUM" "using Chromium at $CHROMIUM" host_chromium
else
    step chromium "$(made_by debian_chromium) $TOP" "unpacking Chromium" debian_chromium
fi

# --- front end ----------------------------------------------------------------------------------------------------
VENDOR=ctid/web/static/vendor
VENDORED=(htmx.org/dist/htmx.min.js @tabler/core/dist/css/tabler.min.css uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css)
front_end() { # axe-core stays in .lab/npm: only tests read it
    local build=$LAB/npm file
    mkdir -p "$build"
    cp package.json package-lock.json "$build/"
    npm ci --prefix "$build" --ignore-scripts --no-audit --no-fund
    mkdir -p "$VENDOR"
    for file in "${VENDORED[@]}"; do cp "$build/node_modules/$file" "$VENDOR/"; done
}
for file in "${VENDORED[@]}"; do [ -e "$VENDOR/${file##*/}" ] || rm -f "$STAMPS/front-end"; done
step front-end "$(declare -f front_end | hash_of) ${VENDORED[*]} $(hash_of package.json package-lock.json)" "front-end packages into $VENDOR" front_end

# --- Python -------------------------------------------------------------------------------------------------------
python_packages() {
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --require-hashes -r requirements/dev.txt
    .venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
}
[ -x .venv/bin/python ] || rm -f "$STAMPS/python"
step python "$(declare -f python_packages | hash_of) $TOP $(hash_of requirements/dev.txt pyproject.toml)" "Python packages into .venv" python_packages
