#!/bin/sh
# Find a Chromium for the browser tests, or install Debian's package where that is allowed.
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        echo "browser: $(command -v "$name")"
        exit 0
    fi
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "browser: none found, installing chromium"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core >/dev/null
    command -v chromium && exit 0
fi
echo "browser: no Chromium here and none can be installed; the browser tests will not run" >&2
[ -z "${CI:-}" ] # in CI that is a failure
