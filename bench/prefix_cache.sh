#!/usr/bin/env bash
# Usage: bench/prefix_cache.sh
# The time to the first token with a prefix of 1,000 tokens that is computed (cold) and that is
# found in the cache (warm): 50 requests with the prefix in common, one after the other, and 50 of
# the same lengths that share nothing, since each has a cache_salt of its own. Needs the release
# build, python3, and a machine that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/cluster.sh
source bench/cluster.sh

work=(--concurrency 1 --shared-prefix 1000 --prompt-tokens 16 --output-tokens 8
  --temperature 0 --json --records)

machine
start_cluster
echo "- Commit: $(commit)"
echo "- Settings: \`expertmesh load --requests 50 ${work[*]}\`," \
  "without and with \`--distinct-salts\`"
load() { "$bin/expertmesh" load --server "$server" "${work[@]}" "$@"; }
load --distinct-salts --requests 3 >/dev/null # what is done once per process
load --requests 50 >"$logs/shared.json"
load --requests 50 --distinct-salts >"$logs/distinct.json"
python3 - "$logs/shared.json" "$logs/distinct.json" <<'PYTHON'
import json
import statistics
import sys

shared, distinct = (json.load(open(path, encoding="utf-8"))["records"] for path in sys.argv[1:])
ttft = [record["ttft_ms"] for record in shared]
cold = statistics.median(record["ttft_ms"] for record in distinct)
warm = statistics.median(ttft[1:])
cached = min(record["cached_tokens"] for record in shared[1:])
print(f"- TTFT cold: {ttft[0]:.2f} ms (the first), "
      f"{cold:.2f} ms (median of {len(distinct)} with distinct salts)")
print(f"- TTFT warm: {warm:.2f} ms (median of the other {len(ttft) - 1}; each found at least "
      f"{cached} of {shared[1]['prompt_tokens']} tokens cached)")
print(f"- Cold against warm: {cold / warm:.1f} times")
PYTHON
echo "- Ran after: $(busy_with)"
