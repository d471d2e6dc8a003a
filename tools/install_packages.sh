#!/usr/bin/env bash
# Usage: tools/install_packages.sh [PACKAGE...]
# Installs what building Expertmesh needs, and the packages named, as far as they are missing: on
# Debian 12 or Ubuntu 24.04 (or later), as root or through sudo. Does nothing if nothing is missing.
set -euo pipefail

wanted=(
  g++ cmake ninja-build ccache pkg-config
  libgrpc++-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev libabsl-dev
  nlohmann-json3-dev libcli11-dev libspdlog-dev libxxhash-dev libpcre2-dev
  libyaml-cpp-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev
  "$@"
)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_packages: this is neither Debian nor Ubuntu; going on with what is here. Needed" \
    "are, by their Debian names: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  states=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
  grep -qx installed <<<"$states" || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install_packages: packages are missing, and this is neither root nor is there sudo." \
      "Have them installed, then run this again:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

# The lock may be held for a while by the machine's own updates.
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

echo "Installing ${#missing[@]} packages and what they need: ${missing[*]}"
# One line per package fetched and set up; errors go to stderr, whole.
if ! { apt update | sed -n -u '/^Err/p' &&
  apt install -y --no-install-recommends "${missing[@]}" |
  sed -n -u '/^Get:/p;/^Setting up/p;/^Err/p'; }; then
  echo "install_packages: apt-get failed. Install these, then run this again:" >&2
  echo "  apt-get install ${missing[*]}" >&2
  exit 1
fi
