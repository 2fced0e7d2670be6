#!/bin/sh
# What is checked of the web UI without a cluster: types, lints, unit tests. Says so where npm could not fetch its tools.
set -eu

cd "$(dirname "$0")/../ui"
if [ ! -e node_modules/.package-lock.json ]; then
    echo 'SKIPPED: svelte-check, ESLint and Vitest of the web UI: npm or its registry is not there' >&2
    exit 0
fi
# Two at once: the machine that lands changes has two cores. Output waits for its end, so that it does not mix.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npm run --silent check >"$out/check" 2>&1 &
check=$!
failed=''
npm run --silent lint >"$out/lint" 2>&1 || failed="$failed ESLint"
npm run --silent test >"$out/test" 2>&1 || failed="$failed Vitest"
wait "$check" || failed="$failed svelte-check"
cat "$out/check" "$out/lint" "$out/test"
[ -z "$failed" ] && exit 0
echo "FAILED of the web UI:$failed" >&2
exit 1
