# shellcheck shell=sh
# Sourced by scripts: need_packages NAME... installs the Debian packages that are missing, and only those.
# On other systems it says what has to be there and goes on.

need_packages() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "no apt-get here; these Debian packages, or their like, must be there:$missing"
        return 0
    fi
    echo "installing:$missing"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q
    # Word splitting is wanted: one argument per package.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

# What building the library, the data library and the command line takes, and PoCL to run on any CPU.
# shellcheck disable=SC2034
build_packages="build-essential cmake ocl-icd-opencl-dev opencl-headers pocl-opencl-icd libclblast-dev
    zlib1g-dev libjpeg-dev libpng-dev libcjson-dev pkg-config"
