#!/usr/bin/env bash
# Usage: bench/prefill_storm.sh
# What decoding sequences notice of a storm of long prompts: the p99 of inter-token latency of four
# streams, quiet and while others send prompts of 2,000 tokens, against twice the time of a step
# that is full of prompt rows, plus a quiet step. Needs the release build, python3, and a machine
# that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/cluster.sh
source bench/cluster.sh

step_rows=256
decode=(--concurrency 4 --seconds 10 --prompt-tokens 16 --output-tokens 200 --temperature 0 --json)
storm=(--concurrency 4 --seconds 12 --prompt-tokens 2000 --output-tokens 1 --temperature 0 --json)
full=(--concurrency 1 --requests 40 --prompt-tokens "$step_rows" --output-tokens 1 --temperature 0
  --json)

machine
start_cluster --max-step-rows "$step_rows" --prefill-chunk "$step_rows"
echo "- Commit: $(commit)"
echo "- Attention worker: \`--max-step-rows $step_rows --prefill-chunk $step_rows\`"
echo "- Settings: decode \`expertmesh load ${decode[*]}\`, storm \`${storm[*]}\`," \
  "a full step is the time to the first token of \`${full[*]}\`"
load() { "$bin/expertmesh" load --server "$server" "$@"; }
load "${full[@]}" >/dev/null # what is done once per process
load "${full[@]}" >"$logs/full.json"
load "${decode[@]}" >"$logs/quiet.json"
load "${storm[@]}" >"$logs/storm.json" &
run=$!
sleep 1
load "${decode[@]}" >"$logs/loud.json"
wait "$run"
python3 - "$logs" <<'PYTHON'
import json
import sys

full, quiet, loud, storm = (
    json.load(open(f"{sys.argv[1]}/{name}.json", encoding="utf-8"))
    for name in ("full", "quiet", "loud", "storm"))
step, one = full["ttft_ms"]["p50"], quiet["itl_ms"]["p50"]
bound = 2 * step + one
print("\n| | ITL p50 ms | p99 ms | max ms |")
print("|---|---|---|---|")
for name, point in (("quiet", quiet), ("in the storm", loud)):
    itl = point["itl_ms"]
    print(f"| {name} | {itl['p50']:.2f} | {itl['p99']:.2f} | {itl['max']:.2f} |")
print(f"\n- A full step: {step:.2f} ms (p50). Bound: 2 x {step:.2f} + {one:.2f} = {bound:.2f} ms; "
      f"p99 in the storm is {loud['itl_ms']['p99'] / bound:.2f} of it")
print(f"- The storm: {storm['requests']['ok']} prompts of 2,000 tokens, "
      f"{storm['input_tokens_per_s']:.0f} prompt tokens/s")
PYTHON
echo "- Ran after: $(busy_with)"
