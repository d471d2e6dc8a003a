#!/usr/bin/env python3
"""Draws the loss curve of a training log as an SVG picture.

    curve.py --log RUN/log.csv --out models/demo/curve.svg [--bytes-per-token 3.855]

Both curves are in bits per byte, over the tokens seen: the loss of the training batches, and the
quick measurement on held-out windows. --bytes-per-token is that of the books to train on, which
train_tokenizer.py prints.
"""

import argparse
import csv
import math
from pathlib import Path

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 50
SMOOTHING_ROWS = 4  # Of the log, a training point.
COLOURS = {"training": "#9db8d9", "held-out": "#c03a2b"}

Points = list[tuple[float, float]]


def read(path: Path, bytes_per_token: float) -> tuple[dict[str, Points], float | None]:
    """Curves of (million tokens, bits per byte), and where the rate began to fall."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    training: Points = []
    for first in range(0, len(rows), SMOOTHING_ROWS):
        part = rows[first:first + SMOOTHING_ROWS]
        loss = sum(float(row["train_loss"]) for row in part) / len(part)
        training.append((float(part[-1]["tokens"]) / 1e6, loss / math.log(2) / bytes_per_token))
    heldout = [(float(row["tokens"]) / 1e6, float(row["heldout_bpb"]))
               for row in rows if row["heldout_bpb"]]
    peak = max(float(row["rate"]) for row in rows)
    last_peak = max(i for i, row in enumerate(rows) if float(row["rate"]) == peak)
    fall = float(rows[last_peak]["tokens"]) / 1e6 if last_peak + 1 < len(rows) else None
    return {"training": training, "held-out": heldout}, fall


def step_of(span: float, most: int) -> float:
    """A round distance between at most so many marks."""
    unit = 10.0 ** math.floor(math.log10(span / most))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10) if span / (unit * factor) <= most)


def draw(curves: dict[str, Points], fall: float | None) -> str:
    right = max(x for points in curves.values() for x, _ in points)
    low = min(y for points in curves.values() for _, y in points)
    bottom, top = math.floor(low * 20) / 20, min(3.0, max(y for _, y in curves["training"]))

    def at(x: float, y: float) -> tuple[float, float]:
        return (LEFT + x / right * (WIDTH - LEFT - RIGHT),
                TOP + (top - min(y, top)) / (top - bottom) * (HEIGHT - TOP - BOTTOM))

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="12" fill="#333">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']

    def line(x1: float, y1: float, x2: float, y2: float, extra: str = "") -> None:
        lines.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                     f'stroke="#ccc"{extra}/>')

    def text(x: float, y: float, words: str, anchor: str = "middle") -> None:
        lines.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>')

    step = step_of(top - bottom, 8)
    for mark in range(math.ceil(bottom / step), math.floor(top / step) + 1):
        x, y = at(0, mark * step)
        line(x, y, WIDTH - RIGHT, y)
        text(x - 8, y + 4, f"{mark * step:.2f}", "end")
    step = step_of(right, 10)
    for mark in range(math.floor(right / step) + 1):
        x, y = at(mark * step, bottom)
        line(x, y, x, y + 5)
        text(x, y + 19, f"{mark * step:g}")
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "million tokens")
    text(LEFT, TOP - 12, "bits per byte", "start")
    if fall is not None:
        x, y = at(fall, top)
        line(x, y, x, HEIGHT - BOTTOM, ' stroke-dasharray="4 4"')
        text(x - 6, y + 12, "rate falls, longer windows", "end")
    for i, (name, points) in enumerate(curves.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        lines.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" '
                     'stroke-width="1.5"/>')
        x, y = WIDTH - RIGHT - 90, TOP + 20 + 18 * i
        lines.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[name]}"/>')
        text(x + 16, y, name, "start")
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bytes-per-token", type=float, default=3.855)
    args = parser.parse_args()
    args.out.write_text(draw(*read(args.log, args.bytes_per_token)))


if __name__ == "__main__":
    main()
