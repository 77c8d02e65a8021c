#!/bin/sh
# Compiles requirements*.in to requirements*.txt: exact versions with hashes, for every platform
# and Python from 3.10, without index addresses. Needs uv.
set -eu
for name in requirements requirements-dev requirements-lambda requirements-replication; do
    uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header "$name.in" --output-file "$name.txt"
done
