#!/usr/bin/env bash
# Usage: bench/stopped_worker.sh [ROUNDS]
# What the clients of three attention workers notice when the fourth is stopped (SIGSTOP): in each
# round (5) the p99 of inter-token latency of a quiet run, of a run in whose midst the worker is
# stopped, and of one after it was given up. Needs the release build, python3, and a machine that
# does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
attention_workers=4
# shellcheck source=bench/cluster.sh
source bench/cluster.sh

rounds=${1:-5}
work=(--concurrency 8 --seconds 6 --prompt-tokens 32 --output-tokens 48 --temperature 0 --json)

machine
start_cluster --threads 1
echo "- Commit: $(commit)"
echo "- Fleet: 4 attention workers, one thread each, 2 expert workers"
echo "- Settings: \`expertmesh load ${work[*]}\`, $rounds rounds"
load() { "$bin/expertmesh" load --server "$server" "${work[@]}" >"$1"; }
load "$logs/warm-up.json"
for ((round = 1; round <= rounds; ++round)); do
  load "$logs/quiet-$round.json"
  load "$logs/midst-$round.json" &
  run=$!
  sleep 2
  kill -STOP "${pid_of[attention-4]}"
  wait "$run"
  load "$logs/after-$round.json"
  kill -CONT "${pid_of[attention-4]}"
  wait_for_attention
done
python3 - "$logs" "$rounds" <<'PYTHON'
import json
import statistics
import sys

folder, rounds = sys.argv[1], int(sys.argv[2])


def runs(name):
    return [json.load(open(f"{folder}/{name}-{i}.json", encoding="utf-8"))
            for i in range(1, rounds + 1)]


def p99(points):
    return [point["itl_ms"]["p99"] for point in points]


quiet = runs("quiet")
print("\n| run | ITL p99 ms, median of rounds | against quiet, median of rounds | ok | failed |")
print("|---|---|---|---|---|")
for name, title in (("quiet", "quiet"), ("midst", "stopped in its midst"), ("after", "given up")):
    points = runs(name)
    ratios = [b / a for a, b in zip(p99(quiet), p99(points))]
    ok = sum(point["requests"]["ok"] for point in points)
    failed = sum(point["requests"]["failed"] for point in points)
    print(f"| {title} | {statistics.median(p99(points)):.2f} | {statistics.median(ratios):.2f} "
          f"| {ok} | {failed} |")
PYTHON
echo
echo "- Ran after: $(busy_with)"
