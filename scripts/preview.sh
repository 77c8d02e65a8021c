#!/bin/sh
# Previews stack $1: against your accounts if the stack is in the backend you are logged in to, else
# against both clouds on this machine, with nothing deployed yet. A preview changes nothing, so it
# is safe to choose; CLOUDS=real and CLOUDS=local choose for it. It compares with what was last
# deployed: what the loads have changed in the clouds since then is not of interest.
set -eu
stack=$1
cd "$(dirname "$0")/.."
pulumi=.tools/bin/pulumi
if [ ! -f "Pulumi.$stack.yaml" ]; then
    there=
    for file in Pulumi.*.yaml; do
        file=${file#Pulumi.}
        there="$there ${file%.yaml}"
    done
    echo "There is no Pulumi.$stack.yaml; stacks here:$there" >&2
    exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ask() { PULUMI_SKIP_UPDATE_CHECK=true "$pulumi" "$@" < /dev/null; }

# Says whether the backend has the stack; one that is there and cannot be asked is an error to see.
exists() {
    [ -n "${PULUMI_BACKEND_URL:-}" ] || ask whoami --non-interactive > /dev/null 2>&1 || return 1
    ask stack ls --json > "$work/stacks" || exit 1
    "$BIN/python" -c 'import json, sys
names = [stack["name"].rpartition("/")[2] for stack in json.load(open(sys.argv[1]))]
sys.exit(sys.argv[2] not in names)' "$work/stacks" "$stack"
}

if [ "$CLOUDS" = auto ]; then
    if [ "$stack" != local ] && exists; then
        CLOUDS=real
    else
        CLOUDS=local
        [ "$stack" = local ] || echo "Stack $stack is not in a backend you are logged in to: a preview on local clouds, with nothing deployed yet." >&2
    fi
fi
case $CLOUDS in
    real)
        # shellcheck disable=SC2086  # PACKAGE is several words
        "$BIN/python" -m handlers.package $PACKAGE
        "$pulumi" preview --stack "$stack" --diff --refresh=false
        ;;
    local) "$BIN/python" -m rehearsal pulumi --stack "$stack" -- preview --diff --refresh=false ;;
    *)
        echo "CLOUDS=$CLOUDS: one of auto, real, local" >&2
        exit 2
        ;;
esac
