#!/usr/bin/env bash
# Installs the foreign clients that the end-to-end tests drive. Idempotent: a part whose list of packages has not
# changed since the last time is not touched, so a warm run takes about a second.
#
#   e2e/tools.sh            everything
#   e2e/tools.sh PART...    of: debian python suite node java go rust librdkafka addon
#
# All but the Debian packages go below ${LUMADB_CACHE:-~/.cache/lumadb}/e2e, never into the checkout.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${LUMADB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lumadb}/e2e
mkdir -p "$root"

say() { echo "e2e/tools.sh: $*"; }
die() { echo "e2e/tools.sh: $*" >&2; exit 1; }

# retry COMMAND...: registries drop a connection now and then; the third failure is the run's failure.
retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return
        say "attempt $attempt failed: $*" >&2
    done
    die "cannot install: $*"
}

# unchanged PART FILE...: true when PART was installed from exactly these files. installed PART FILE... records it.
stamp_of() { cat "$@" | sha256sum | cut -c1-64; }
unchanged() { local part=$1; shift; [ "$(cat "$root/$part.stamp" 2>/dev/null)" = "$(stamp_of "$@")" ]; }
installed() { local part=$1; shift; stamp_of "$@" >"$root/$part.stamp"; }

debian() {
    local wanted=(kcat postgresql-client prometheus valgrind python3-venv gcc g++ make zlib1g-dev libzstd-dev libssl-dev rapidjson-dev) missing=() package
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "Debian packages: ${missing[*]}"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    retry "${as_root[@]}" apt-get update -qq
    retry "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >"$root/debian.log" 2>&1 </dev/null
}

python() {
    local list=$here/clients/python/requirements.txt
    unchanged python "$list" && return
    say "Python packages"
    python3 -m venv --clear "$root/python"
    retry "$root/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
    installed python "$list"
}

# kafka-python's integration tests, from the source archive of the version that is installed.
suite() {
    local list=$here/clients/python/requirements.txt wanted
    [ -e "$root/python/bin/pip" ] || python
    unchanged suite "$list" && return
    say "kafka-python's tests"
    wanted=$(grep '^kafka-python==' "$list")
    rm -rf "$root/kafka-python"
    mkdir -p "$root/kafka-python"
    retry "$root/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary kafka-python \
        --dest "$root/kafka-python" "$wanted"
    tar -xzf "$root"/kafka-python/*.tar.gz -C "$root/kafka-python" --strip-components=1 --wildcards '*/test/*'
    installed suite "$list"
}

node() {
    local from=$here/clients/node
    unchanged node "$from/package-lock.json" && return
    say "Node packages"
    mkdir -p "$root/node"
    cp "$from/package.json" "$from/package-lock.json" "$root/node/"
    # The scripts that packages run at installation are not wanted: one would look for a prebuilt binary that is
    # not in the registry. `addon` below builds the one native add-on.
    (cd "$root/node" && retry npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    installed node "$from/package-lock.json"
}

java() {
    local list=$here/clients/java/pom.xml
    unchanged java "$list" && return
    say "Java archives"
    rm -rf "$root/java"
    retry mvn -q -B -ntp -f "$list" dependency:copy-dependencies "-DoutputDirectory=$root/java/lib"
    installed java "$list"
}

go() {
    local from=$here/clients/go
    [ -e "$from/go.mod" ] || return 0
    unchanged go "$from/go.mod" "$from/go.sum" "$from"/*.go && return
    say "Go client"
    mkdir -p "$root/bin"
    (cd "$from" && retry env GOFLAGS=-mod=readonly go build -o "$root/bin/franz" .)
    installed go "$from/go.mod" "$from/go.sum" "$from"/*.go
}

# The `rdkafka` crate compiles the librdkafka that it ships: a build of a minute or two, in a target directory of its own.
rust() {
    local from=$here/clients/rust
    unchanged rust "$from"/Cargo.* "$from"/build.rs "$from"/src/*.rs && return
    say "Rust client (a build of some minutes)"
    mkdir -p "$root/bin"
    retry env -u CARGO_BUILD_TARGET CARGO_TARGET_DIR="$root/rust" cargo build --quiet --locked --manifest-path "$from/Cargo.toml"
    cp "$root/rust/debug/e2e-rdkafka" "$root/bin/rdkafka"
    installed rust "$from"/Cargo.* "$from"/build.rs "$from"/src/*.rs
}

# librdkafka's library and its own test runner, from the source that ships in the Node package.
librdkafka() {
    local source=$root/node/node_modules/@confluentinc/kafka-javascript/deps/librdkafka
    [ -d "$source" ] || node
    unchanged librdkafka "$source/src/rdkafka.h" <(declare -f librdkafka) && return
    say "librdkafka's tests (a build of some minutes)"
    rm -rf "$root/librdkafka"
    cp -r "$source" "$root/librdkafka"
    (
        cd "$root/librdkafka"
        chmod +x configure lds-gen.py tests/*.sh 2>/dev/null || true
        ./configure --disable-curl --disable-gssapi --disable-lz4-ext
        make -j"$(nproc)" libs
        make -j"$(nproc)" -C tests build
    ) >"$root/librdkafka.log" 2>&1 || { tail -n 30 "$root/librdkafka.log" >&2; die "librdkafka does not build"; }
    installed librdkafka "$source/src/rdkafka.h" <(declare -f librdkafka)
}

# The native add-on of @confluentinc/kafka-javascript, from its source, against the librdkafka of the same package that is
# built above: its own installation would look for a prebuilt binary, or for node's headers and more source, on the web.
addon() {
    local package=$root/node/node_modules/@confluentinc/kafka-javascript built=$root/librdkafka headers gyp
    [ -d "$built" ] && [ -d "$package" ] || librdkafka
    { declare -f addon; command node --version; } >"$root/addon.inputs"
    local inputs=("$package/package.json" "$built/src/rdkafka.h" "$root/addon.inputs")
    [ -e "$package/build/Release/confluent-kafka-javascript.node" ] && unchanged addon "${inputs[@]}" && return
    say "Node add-on"
    headers=$(command node -p 'path.dirname(path.dirname(process.execPath))')
    [ -e "$headers/include/node/node.h" ] || die "node's headers are not in $headers/include/node: install them beside node"
    gyp=$(npm root --global 2>/dev/null)/npm/node_modules/node-gyp/bin/node-gyp.js
    [ -e "$gyp" ] || die "npm ships no node-gyp at $gyp"
    (
        cd "$package"
        BUILD_LIBRDKAFKA=0 CXXFLAGS="-I$built/src -I$built/src-cpp" \
            LDFLAGS="-L$built/src -L$built/src-cpp -Wl,-rpath,$built/src:$built/src-cpp" \
            JOBS=$(nproc) command node "$gyp" rebuild --nodedir="$headers"
    ) >"$root/addon.log" 2>&1 || { tail -n 30 "$root/addon.log" >&2; die "the add-on does not build"; }
    installed addon "${inputs[@]}"
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(debian python suite node java go rust librdkafka addon)
for part in "${parts[@]}"; do
    case $part in
    debian | python | suite | node | java | go | rust | librdkafka | addon) "$part" ;;
    *) die "unknown part '$part'" ;;
    esac
done
