#!/bin/sh
# Builds the web UI into ui/dist where npm is installed and anything changed. Without npm, or its registry, the binary is
# built without the UI and serves a page that says so: a UI of other sources never gets into it.
set -eu

cd "$(dirname "$0")/../ui"
inputs='src public index.html package.json package-lock.json vite.config.ts svelte.config.js tsconfig.json'
# What dist was made of. A digest, for dates say nothing of files that are gone, or that another checkout wrote.
stamp=dist/.inputs
# shellcheck disable=SC2086
sum=$(find $inputs -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum)

without() {
    echo "$1: the binary will have no web UI" >&2
    clear
}

# `.gitignore` keeps the folder in the repository.
clear() {
    mkdir -p dist
    find dist -mindepth 1 ! -name .gitignore -delete
}

modules=node_modules/.package-lock.json
if ! command -v npm >/dev/null; then
    [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] || without 'npm is not installed'
    exit 0
fi
# The checks need what it fetches too, so it is fetched even where dist is as it should be.
if [ ! -e "$modules" ] || [ package-lock.json -nt "$modules" ]; then
    if ! PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund; then
        rm -rf node_modules
        [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] || without 'npm could not fetch what the UI needs'
        exit 0
    fi
fi
[ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && exit 0
trap 'code=$?; [ "$code" = 0 ] || clear; exit "$code"' EXIT
clear
npm run --silent build -- --logLevel warn
printf '%s\n' "$sum" >"$stamp"
