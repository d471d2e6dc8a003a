#!/usr/bin/env bash
# Usage: tools/format.sh [--check] [FILE...]
# Formats the C++ and proto files that git tracks (or those named) with clang-format 14, the version
# whose output counts. With --check it changes nothing, names what differs, and exits with 1 then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(-i)
if [[ ${1-} == --check ]]; then
  mode=(--dry-run --Werror)
  shift
fi
formatter=$(command -v clang-format-14 || command -v clang-format) || {
  echo "format: no clang-format; apt-get install clang-format-14" >&2
  exit 2
}
[[ $("$formatter" --version) == *"version 14."* ]] ||
  echo "format: $formatter is not version 14; it may format otherwise" >&2

if (($# > 0)); then
  files=("$@")
else
  mapfile -d '' -t files < <(git ls-files -z '*.cc' '*.h' '*.proto' ':!third_party')
fi
((${#files[@]} == 0)) || "$formatter" "${mode[@]}" --style=file "${files[@]}"
