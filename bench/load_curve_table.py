#!/usr/bin/env python3
"""Prints the points of `expertmesh load --sweep ... --json` as a Markdown table.

    load_curve_table.py FILE.json
"""

import json
import sys


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        points = json.load(file)["points"]
    print("| concurrency | ok | failed | requests/s | output tokens/s | TTFT p50 / p99 ms "
          "| ITL p50 / p99 ms | E2E p50 / p99 ms |")
    print("|---|---|---|---|---|---|---|---|")
    for point in points:
        times = [f"{point[key]['p50']:.1f} / {point[key]['p99']:.1f}"
                 if point[key] else "-" for key in ("ttft_ms", "itl_ms", "e2e_ms")]
        requests = point["requests"]
        print("| " + " | ".join([
            str(point["concurrency"]), str(requests["ok"]), str(requests["failed"]),
            f"{point['requests_per_s']:.1f}", f"{point['output_tokens_per_s']:.0f}", *times]) +
              " |")
    speed = {point["concurrency"]: point["output_tokens_per_s"] for point in points}
    print(f"\nOutput tokens per second at a concurrency of 32 against 1: "
          f"{speed[32] / speed[1]:.1f} times.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
