# Sourced by tools/quickstart and tools/check: which Debian packages are needed, and getting them.

build_packages=(gcc libc6-dev cmake ninja-build pkg-config libcjson-dev libxml2-dev libarchive-dev nettle-dev
    libprotobuf-c-dev protobuf-c-compiler libsqlite3-dev libzstd-dev libepoxy-dev libegl-dev libgl1-mesa-dri libfreetype-dev
    libfontconfig-dev fonts-dejavu-core libpng-dev libavcodec-dev libavformat-dev libswscale-dev libsdl2-dev)
test_packages=(libcmocka-dev python3 python3-numpy python3-venv python3-protobuf protobuf-compiler sqlite3)
# Stages of tools/check, and tests (render/drive_viewer), that are skipped where these are missing.
optional_packages=(clang clang-format g++ ccache shellcheck xvfb xdotool)
# Matrix products that the build uses where they are there (it has loops of its own).
product_packages=(libdnnl-dev)

# Prints those of its arguments that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || echo "$package"
    done
}

# Installs what is missing of its arguments; says which are missing and returns 1 where it can not.
install_packages() {
    local missing as_root=()
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not a Debian system. Needed, by their Debian names: $*" >&2
        return 0 # cmake will name what it does not find
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        [ -t 0 ] || as_root+=(-n) # nobody there to type a password
        if ! command -v sudo >/dev/null || ! "${as_root[@]}" true; then
            echo "Missing Debian packages, and no right to install them. Please run as root:" >&2
            echo "    apt-get install ${missing[*]}" >&2
            return 1
        fi
    fi
    echo "Installing: ${missing[*]}"
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends)
    # The lists of a fresh machine are empty or old: fetch them only when the first try fails.
    "${install[@]}" "${missing[@]}" >/dev/null 2>&1 && return 0
    "${as_root[@]}" apt-get update -q >/dev/null && "${install[@]}" "${missing[@]}" >/dev/null && return 0
    echo "apt-get could not install: ${missing[*]}" >&2
    return 1
}

# "-DCMAKE_C_COMPILER_LAUNCHER=ccache" where there is ccache.
launcher_option() {
    if command -v ccache >/dev/null; then echo -DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
}

# What tests of the Python package want beyond Debian's NumPy, of PyPI.
python_packages=('gymnasium>=1.0,<2' 'mypy<3')

# A Python for tests in the folder $1, with Debian's packages and the above; prints its path. 1 where it can not be had,
# such as without a network: the tests that want it are skipped.
test_python() {
    local folder=$1
    if ! "$folder/bin/python3" -c 'import numpy, gymnasium, mypy' 2>/dev/null; then
        /usr/bin/python3 -m venv --clear --system-site-packages "$folder" >/dev/null 2>&1 &&
            "$folder/bin/python3" -m pip install -q --retries 1 --timeout 20 "${python_packages[@]}" >/dev/null 2>&1 &&
            "$folder/bin/python3" -c 'import numpy, gymnasium, mypy' 2>/dev/null || return 1
    fi
    echo "$PWD/$folder/bin/python3"
}
