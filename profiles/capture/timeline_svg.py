#!/usr/bin/env python3
"""Draws a timeline (Chrome trace format, from --trace or `cargo bench --bench gpu -- weak --trace FILE`) as SVG: timeline_svg.py TRACE.json OUT.svg [MILLISECONDS]"""
import json
import sys

COLOURS = {"upload": "#2196f3", "index": "#ff9800", "decode + integrate": "#f44336", "download": "#9c27b0", "read": "#4caf50", "write": "#795548"}
events = json.load(open(sys.argv[1]))["traceEvents"]
tracks = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
spans = [e for e in events if e["ph"] == "X"]
start = min(e["ts"] for e in spans)
length = float(sys.argv[3]) * 1e3 if len(sys.argv) > 3 else max(e["ts"] + e["dur"] for e in spans) - start
width, left, row = 1200, 110, 34
scale = (width - left - 10) / length
names = [n for n in COLOURS if any(e["name"] == n for e in spans)]
# Every track has a line for each stage, so that a short step is not hidden by a long one.
lines = [(t, n) for t in sorted(tracks) for n in names if any(e["tid"] == t and e["name"] == n for e in spans)]
height = 40 + row * len(lines) + 30
out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
       f'<rect width="{width}" height="{height}" fill="white"/>']
for at, (track, name) in enumerate(lines):
    y = 20 + at * row
    out.append(f'<text x="4" y="{y + 12}">{tracks[track]}</text><text x="4" y="{y + 24}" fill="#666">{name}</text>')
    for e in spans:
        if e["tid"] == track and e["name"] == name and e["ts"] - start < length:
            x, w = left + (e["ts"] - start) * scale, max(min(e["dur"], length - (e["ts"] - start)) * scale, 1)
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{row - 8}" fill="{COLOURS[name]}"/>')
step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if length / 1e3 / s <= 24)
for n in range(int(length / 1e3 / step) + 1):
    x = left + n * step * 1e3 * scale
    out.append(f'<line x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{height - 28}" stroke="#ccc" stroke-width="0.5"/>')
    out.append(f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">{n * step:g} ms</text>')
open(sys.argv[2], "w").write("\n".join(out + ["</svg>\n"]))
