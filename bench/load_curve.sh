#!/usr/bin/env bash
# Usage: bench/load_curve.sh [REQUESTS]
# Latency and throughput of 1 attention worker and 2 expert workers with models/tiny, at a
# concurrency of 1 to 64, REQUESTS (default 256) at each. Writes bench/results/DATE-load-curve.json,
# .svg and .md. Needs the release build, python3, and a machine that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/cluster.sh
source bench/cluster.sh

requests=${1:-256}
one=(--prompt-tokens 128 --output-tokens 64 --temperature 0)
work=(--sweep "1,2,4,8,16,32,64" --requests "$requests" --warmup 16 "${one[@]}")
results=bench/results/$(date +%F)-load-curve

machine=$(machine)
start_cluster
mkdir -p bench/results
"$bin/expertmesh" load --server "$server" "${work[@]}" --json --plot "$results.svg" \
  >"$results.json"
shares=$(cpu_shares --concurrency 32 --requests "$((requests * 2))" "${one[@]}")

{
  printf '# Load curve of %s\n\n' "$(date +%F)"
  echo "$machine"
  echo "- Ran after: $(busy_with)"
  echo "- Commit: $(commit)"
  echo "- Fleet: coordinator, 1 attention worker, 2 expert workers, all on this machine;" \
    "threads as by default; the load generator beside them"
  echo "- Settings: \`expertmesh load ${work[*]}\`"
  echo "- Written by \`bench/load_curve.sh\`"
  echo
  python3 bench/load_curve_table.py "$results.json"
  printf '\nWhat the machine computed for at a concurrency of 32:\n\n'
  echo "$shares"
  printf '\n![latency and throughput](%s)\n' "$(basename "$results").svg"
} >"$results.md"
cat "$results.md"
