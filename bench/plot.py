"""The results as one SVG picture: bars of tokens a second, a panel for each test."""

from __future__ import annotations

import math
from html import escape

from results import Key, Results

PANEL_WIDTH, PANEL_HEIGHT = 860, 210
LEFT, TOP, BOTTOM, RIGHT = 56, 40, 34, 12
MAX_BAR = 40
CLEAVE = ("#1b6ca8", "#4f9bd0", "#8fc1e3")
"""A shade for each setup on one number of cores."""
PEER, LIMIT = "#d98c3f", "#555555"


def round_step(largest: float) -> float:
    """A distance of grid lines, 1, 2 or 5 times a power of ten, that gives four to ten of them."""
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (0.1, 0.2, 0.5, 1.0) if largest / (step * power) <= 10)


def bar(x: float, width: float, base: float, height: float, color: str, title: str) -> str:
    return (f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{color}"><title>{escape(title)}</title></rect>')


def panel(results: Results, title: str, keys: list[Key], top: float) -> list[str]:
    """Bars of these keys, which differ in type and setup only, in a group for each type."""
    kinds = list(dict.fromkeys(key.kind for key in keys))
    setups = list(dict.fromkeys(key.setup for key in keys))
    by_place = {(key.kind, key.setup): key for key in keys}
    values = [value for key in keys for value in (results.rate("cleave", key),
              results.peer_rate(key), results.limit(key) if key.test == "generate" else None)
              if value]
    step = round_step(max(values))
    scale = (PANEL_HEIGHT - TOP - BOTTOM) / max(values)
    base = top + PANEL_HEIGHT - BOTTOM
    shapes = [f'<text x="{LEFT}" y="{top + 16}" font-weight="bold">{escape(title)}</text>']
    for line in range(int(max(values) / step) + 1):
        y = base - line * step * scale
        shapes += [f'<line x1="{LEFT}" x2="{PANEL_WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                   'stroke="#dddddd"/>',
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{line * step:g}</text>']
    group = (PANEL_WIDTH - LEFT - RIGHT) / len(kinds)
    width = min(group * 0.8 / (len(setups) + 1), MAX_BAR)
    bars = width * (len(setups) + 1)
    for i, kind in enumerate(kinds):
        x = LEFT + group * i + (group - bars) / 2
        shapes.append(f'<text x="{x + bars / 2:.1f}" y="{base + 16:.1f}" text-anchor="middle">'
                      f'{escape(kind)}</text>')
        present = [by_place[kind, setup] for setup in setups if (kind, setup) in by_place]
        for j, key in enumerate(present):
            rate = results.rate("cleave", key) or 0
            shapes.append(bar(x + j * width, width, base, rate * scale, CLEAVE[j % len(CLEAVE)],
                              f"Cleave {key.setup}: {rate:.1f} tokens/s"))
        if peer := results.peer_rate(present[0]):
            shapes.append(bar(x + len(present) * width, width, base, peer * scale, PEER,
                              f"llama.cpp: {peer:.1f} tokens/s"))
        limit = results.limit(present[0]) if present[0].test == "generate" else None
        if limit:
            y = base - limit * scale
            shapes.append(f'<line x1="{x:.1f}" x2="{x + bars:.1f}" y1="{y:.1f}" '
                          f'y2="{y:.1f}" stroke="{LIMIT}" stroke-width="2">'
                          f'<title>limit: {limit:.1f} tokens/s</title></line>')
    legend = [(f"Cleave {setup}", CLEAVE[j % len(CLEAVE)]) for j, setup in enumerate(setups)]
    if any(results.peer_rate(key) for key in keys):
        legend.append(("llama.cpp", PEER))
    if any(key.test == "generate" and results.limit(key) for key in keys):
        legend.append(("limit of reading", LIMIT))
    x = PANEL_WIDTH - RIGHT - 108 * len(legend)
    for name, color in legend:
        shapes += [f'<rect x="{x}" y="{top + 7}" width="10" height="10" fill="{color}"/>',
                   f'<text x="{x + 15}" y="{top + 16}">{escape(name)}</text>']
        x += 108
    return shapes


def plot(results: Results) -> str:
    """A panel for each test on each number of cores."""
    panels: dict[str, list[Key]] = {}
    for test in ("generate", "prompt"):
        for key in results.keys(test):
            what = (f"generation at depth {key.depth}" if test == "generate"
                    else f"prompt of {key.tokens}")
            cores = f"{key.cores} core{'s' * (key.cores > 1)}"
            panels.setdefault(f"{what}, {cores}, tokens/s", []).append(key)
    shapes: list[str] = []
    for i, (title, keys) in enumerate(panels.items()):
        shapes += panel(results, title, keys, i * PANEL_HEIGHT)
    height = max(1, len(panels)) * PANEL_HEIGHT
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PANEL_WIDTH}" height="{height}" '
        f'viewBox="0 0 {PANEL_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{PANEL_WIDTH}" height="{height}" fill="white"/>', *shapes, "</svg>", ""])
