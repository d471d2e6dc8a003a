#!/usr/bin/env bash
# Usage: tests/fuzz/run.sh [SECONDS [NAME...]]
# Builds the fuzzers (preset fuzz) and lets each search SECONDS (30), two at a time; NAMEs choose
# some of them. New inputs that reach new code go to build/fuzz/found/NAME/, and the next run begins
# with them. An input that crashes, leaks, hangs or takes too much memory is kept as
# build/ci/fuzz-NAME-*, beside the log. Exit 1: there is such an input.
# FUZZ_SEED (1) is the seed: with an empty found/ it makes a search begin alike.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2

seconds=${1:-30}
names=("${@:2}")
((${#names[@]} > 0)) || names=(tokenizer_json config_json chat_template safetensors_header frame)
# Bytes of the longest input: what lets a reader show all of itself, and no more than is quick.
declare -A max_len=([tokenizer_json]=4096 [config_json]=4096 [chat_template]=2048
  [safetensors_header]=2048 [frame]=1024)
at_once=2
input_seconds_max=20 # a hundred times what the slowest takes; a clock decides nothing closer
memory_mb_max=3072

for name in "${names[@]}"; do
  [[ -n ${max_len[$name]-} ]] || {
    echo "fuzz: no fuzzer '$name'; there are: ${!max_len[*]}" >&2
    exit 2
  }
done

cmake --preset fuzz && cmake --build --preset fuzz --parallel "$(nproc)" || exit 2

# search NAME: exit 1 if it has found something.
search() {
  local name=$1 log=build/ci/fuzz-$1.log options=() code=0
  [[ ! -f tests/fuzz/$name.dict ]] || options=(-dict="tests/fuzz/$name.dict")
  mkdir -p "build/fuzz/found/$name"
  build/fuzz/bin/fuzz_"$name" "build/fuzz/found/$name" "tests/fuzz/corpus/$name" \
    -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -max_len="${max_len[$name]}" \
    -timeout="$input_seconds_max" -rss_limit_mb="$memory_mb_max" \
    -artifact_prefix="build/ci/fuzz-$name-" -print_final_stats=1 "${options[@]}" \
    >"$log" 2>&1 || code=1
  if ((code == 0)); then
    echo "fuzz $name: $(grep -E 'DONE +cov' "$log" | tr -s ' \t' ' ')"
  else
    echo "fuzz $name: FOUND SOMETHING ($log, build/ci/fuzz-$name-*)"
    tail -n 40 "$log"
  fi
  return "$code"
}

mkdir -p build/ci
failed=0
for ((i = 0; i < ${#names[@]}; i += at_once)); do
  pids=()
  for name in "${names[@]:i:at_once}"; do
    search "$name" &
    pids+=("$!")
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit "$failed"
