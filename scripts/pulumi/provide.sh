#!/bin/sh
# Provides .tools/bin/pulumi, fit for the SDK that requirements.in pins: the same major version, and
# not older. Ways, in this order: what is there already, the one on the PATH, Pulumi's official
# installer, a build from the published Go modules. PULUMI_FROM=path|installer|go tries that one only.
#
# The Go way: the newest CLI whose modules can be had is in cli/go.mod. The Python language host is
# published as a module no longer; the last one is in language-host/go.mod. It still speaks with
# today's engine, but is told the project's root and virtual environment by flags that the engine
# has stopped passing; the wrapper below passes them. What runs the program
# (pulumi-language-python-exec) is today's.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
here="$root/scripts/pulumi"
bin="$root/.tools/bin"
sdk=$(sed -n 's/^pulumi==//p' "$root/requirements.in")
how=${PULUMI_FROM:-}

say() { echo "pulumi: $*" >&2; }

# Succeeds when version $1 (v3.274.1) has the SDK's major version and is not older than the SDK.
fits() {
    given=${1#v}
    [ "${given%%.*}" = "${sdk%%.*}" ] || return 1
    [ "$(printf '%s\n%s\n' "$sdk" "${given%%-*}" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$sdk" ]
}

version_of() { PULUMI_SKIP_UPDATE_CHECK=true "$1" version 2> /dev/null || echo of no version; }

# Succeeds when the CLI $1 fits; else tells that $2 does not.
suits() {
    version=$(version_of "$1")
    fits "$version" || { say "$2 is $version, and the SDK $sdk needs the like or a newer one"; return 1; }
}

provided() {
    [ -x "$bin/pulumi" ] || return 1
    # The wrapper beside a host that was built here is this tree's own, and may have changed.
    [ ! -e "$bin/pulumi-language-python-host" ] || cp "$here/language-host/pulumi-language-python" "$bin/"
    suits "$bin/pulumi" "what is in .tools/bin" && say "$version is in .tools/bin"
}

from_path() {
    found=$(command -v pulumi) || { say "none on the PATH"; return 1; }
    [ "$found" != "$bin/pulumi" ] || { say "the one on the PATH is that of .tools/bin"; return 1; }
    suits "$found" "$found" || return 1
    [ -x "$(dirname "$(readlink -f "$found")")/pulumi-language-python" ] ||
        command -v pulumi-language-python > /dev/null || {
            say "$found has no pulumi-language-python beside it"; return 1; }
    # A link would not do: the CLI looks for the language host in its own folder.
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$found" > "$work/pulumi"
    chmod +x "$work/pulumi"
    keep pulumi || return 1
    say "using $version from $found"
}

from_installer() {
    command -v curl > /dev/null || { say "no curl to fetch the official installer with"; return 1; }
    say "asking Pulumi's official installer for $sdk ..."
    curl -fsSL --connect-timeout 10 --max-time 60 -o "$work/install.sh" https://get.pulumi.com 2> /dev/null || {
        say "the official installer cannot be reached"; return 1; }
    sh "$work/install.sh" --version "$sdk" --install-root "$work/official" --no-edit-path > "$work/log" 2>&1 || {
        say "the official installer failed: $(tail -n 1 "$work/log")"; return 1; }
    suits "$work/official/bin/pulumi" "what the official installer brought" || return 1
    mv -f "$work/official/bin/"* "$work/"
    # The CLI comes last: where it is, the others are.
    (cd "$work" && keep pulumi-* pulumi) || return 1
    say "installed $version into .tools/bin"
}

# Builds the package $2 of the module in folder $1 into $work/$3, telling how far it is.
build() {
    (
        cd "$here/$1"
        release=$(sed -n 's,.*github.com/pulumi/pulumi/sdk/v3 \(v[0-9.]*\).*,\1,p' go.mod)
        say "building $3 $release from its Go modules (some minutes the first time) ..."
        flags="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$release"
        go list -deps "$2" > "$work/packages" 2> "$work/log" || {
            say "its modules cannot be had: $(tail -n 1 "$work/log")"; exit 1; }
        all=$(wc -l < "$work/packages")
        { go build -v -trimpath -ldflags "$flags" -o "$work/$3" "$2" 2>&1 || : > "$work/failed"; } |
            tee "$work/log" | awk -v all="$all" 'NR % 200 == 0 { printf "pulumi:   %d packages of at most %d\n", NR, all; fflush() }' >&2
        [ ! -e "$work/failed" ] || { say "building failed: $(tail -n 1 "$work/log")"; exit 1; }
    )
}

from_go() {
    command -v go > /dev/null || { say "no Go toolchain to build it with"; return 1; }
    build language-host github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python pulumi-language-python-host || return 1
    build cli github.com/pulumi/pulumi/pkg/v3/cmd/pulumi pulumi || return 1
    suits "$work/pulumi" "what was built" || return 1
    modules=$(cd "$here/cli" && go list -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3) || return 1
    cp "$modules/python/cmd/pulumi-language-python-exec" "$here/language-host/pulumi-language-python" "$work/" || return 1
    chmod +wx "$work/pulumi-language-python-exec" "$work/pulumi-language-python"
    keep pulumi-language-python-host pulumi-language-python-exec pulumi-language-python pulumi || return 1
    say "built $version into .tools/bin"
}

# Moves the files into place when all of them are there; nothing half-made is left behind.
keep() {
    for file in "$@"; do [ -e "$work/$file" ] || { say "$file is missing"; return 1; }; done
    mkdir -p "$bin"
    for file in "$@"; do mv -f "$work/$file" "$bin/$file" || return 1; done
}

# In the same file system as its goal, so that a file is moved as a whole or not at all.
mkdir -p "$root/.tools"
work=$(mktemp -d "$root/.tools/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
case $how in
    '') provided || from_path || from_installer || from_go ;;
    path) from_path ;;
    installer) from_installer ;;
    go) from_go ;;
    *) say "PULUMI_FROM=$how: one of path, installer, go"; exit 2 ;;
esac || {
    say "no pulumi to be had. Install version $sdk or newer (https://www.pulumi.com/docs/install/), or Go (https://go.dev/doc/install), and run make pulumi again."
    exit 1
}
