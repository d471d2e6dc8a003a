#!/usr/bin/env bash
# Usage: ./test.sh [CTEST ARGUMENT...]
# Installs what is missing (Debian or Ubuntu packages, as root or with sudo), builds everything in
# build/release and runs every test. Arguments go to ctest, e.g. -R golden. Exit 0: all passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_packages.sh python3 # the tests in tests/tidy are Python; no other is
cmake --preset release
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release --parallel "$(nproc)" --no-tests=error "$@"
