#!/usr/bin/env bash
# Usage: ./test.sh [CTEST ARGUMENT...]
# Installs what is missing (Debian or Ubuntu packages, as root or with sudo), builds everything in
# build/release and runs every test. Arguments go to ctest, e.g. -R golden. Exit 0: all passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Python: tests/tidy, and tests/foreign, a client that has none of our code. The last two are for
# tests/chaos, which without them has no network to disturb.
tools/install_packages.sh python3 python3-venv python3-grpcio python3-protobuf iproute2 nftables
cmake --preset release
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release --parallel "$(nproc)" --no-tests=error "$@"
