#!/bin/sh
# Previews stack $1: against your accounts if the stack is in the backend you are logged in to, else
# against both clouds on this machine, with nothing deployed yet. A preview changes nothing, so it
# is safe to choose; CLOUDS=real and CLOUDS=local choose for it. It compares with what was last
# deployed: what the loads have changed in the clouds since then is not of interest.
set -eu
stack=$1
cd "$(dirname "$0")/.."
pulumi=.tools/bin/pulumi

exists() {
    PULUMI_SKIP_UPDATE_CHECK=true "$pulumi" stack ls --json < /dev/null 2> /dev/null |
        "$BIN/python" -c 'import json, sys; sys.exit(all(s["name"] != sys.argv[1] for s in json.load(sys.stdin)))' "$stack" 2> /dev/null
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
        exec "$pulumi" preview --stack "$stack" --diff --refresh=false
        ;;
    local) exec "$BIN/python" -m rehearsal pulumi --stack "$stack" -- preview --diff --refresh=false ;;
    *)
        echo "CLOUDS=$CLOUDS: one of auto, real, local" >&2
        exit 2
        ;;
esac
