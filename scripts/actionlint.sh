#!/bin/sh
# Checks the workflows with actionlint, and their scripts with shellcheck where there is one.
# Takes the actionlint on the PATH or in .tools/bin; installs it there if there is Go.
set -eu

version=v1.7.12

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tools="$root/.tools/bin"

if command -v actionlint >/dev/null 2>&1; then
    actionlint=actionlint
elif [ -x "$tools/actionlint" ]; then
    actionlint="$tools/actionlint"
elif command -v go >/dev/null 2>&1; then
    echo "Installing actionlint $version in .tools/bin ..." >&2
    mkdir -p "$tools"
    GOBIN="$tools" go install "github.com/rhysd/actionlint/cmd/actionlint@$version" || {
        echo "go could not install actionlint $version: see above, or put actionlint on the PATH" >&2
        exit 2
    }
    actionlint="$tools/actionlint"
else
    echo "The workflows were not checked: there is no actionlint (install Go, or 'brew install actionlint', or the download script of github.com/rhysd/actionlint). CI checks them." >&2
    [ -z "${CI:-}" ] || exit 2
    exit 0
fi

set --
[ -t 1 ] || set -- -no-color
cd "$root"
exec "$actionlint" "$@" .github/workflows/*.yml
