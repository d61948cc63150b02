"""Draws the timeline of a retention life as an SVG: fields stored by category; segments and records in cells; overdue fields.

    life_picture.py SAMPLES EVENTS OUT

Colours and strokes can be read on light and on dark ground; the picture has no ground of its own.
"""

import json
import sys

WIDTH, LEFT, RIGHT = 860, 64, 150
INK = "#808890"
COLOURS = ["#3b82c4", "#e08a2e", "#3aa66f", "#c9507a", "#8a6fd1", "#2fa9b5", "#b59a2a", "#9aa4ad"]
WORDS = {"policy": "policy", "contract": "contract ends", "withdraw": "consent withdrawn", "hold": "hold", "release": "released"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def nice(most):
    """A round number at or above `most`."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= most:
                return step * scale
        scale *= 10


class Panel:
    """A part of the picture with scales of its own."""

    def __init__(self, top, height, days, most, title):
        self.top, self.height, self.days, self.most = top, height, days, most
        self.parts = [f'<text x="{LEFT}" y="{top - 8}" class="t">{title}</text>']
        for share in (0, 0.5, 1):
            y = self.y(most * share)
            self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>')
            label = int(most * share) if float(most * share).is_integer() else most * share
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="e">{label:,}</text>')

    def x(self, day):
        return LEFT + (WIDTH - LEFT - RIGHT) * day / self.days

    def y(self, value):
        return self.top + self.height * (1 - value / self.most)

    def path(self, points):
        return "M" + "L".join(f"{self.x(day):.0f} {self.y(value):.0f}" for day, value in points)

    def area(self, days, low, high, colour):
        there = list(zip(days, high)) + list(zip(days, low))[::-1]
        self.parts.append(f'<path d="{self.path(there)}Z" fill="{colour}" fill-opacity=".8"/>')

    def line(self, days, values, colour):
        self.parts.append(f'<path d="{self.path(zip(days, values))}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def legend(self, number, colour, text):
        y = self.top + 8 + 16 * number
        self.parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 8}" width="10" height="10" fill="{colour}"/>')
        self.parts.append(f'<text x="{WIDTH - RIGHT + 28}" y="{y + 1}">{text}</text>')


def main():
    samples, events, out = read(sys.argv[1]), read(sys.argv[2]), sys.argv[3]
    days = [sample["day"] for sample in samples]
    last = max(days)
    sums = {}
    for sample in samples:
        for category, count in sample["stored"].items():
            sums[category] = sums.get(category, 0) + count
    named = sorted(sums, key=sums.get, reverse=True)[: len(COLOURS) - 1]
    layers = [(name, [sample["stored"].get(name, 0) for sample in samples]) for name in named]
    layers.append(("other", [sum(count for name, count in sample["stored"].items() if name not in named) for sample in samples]))

    most = max(sum(sample["stored"].values()) for sample in samples)
    fields = Panel(58, 210, last, nice(most / 1000), "fields stored, in thousands, by category")
    low = [0.0] * len(days)
    for number, (name, counts) in enumerate(layers):
        high = [one + count / 1000 for one, count in zip(low, counts)]
        fields.area(days, low, high, COLOURS[number])
        fields.legend(len(layers) - 1 - number, COLOURS[number], name.replace("_", " "))
        low = high
    count = max(max(sample["segments"] for sample in samples), max(sample["in_cells"] for sample in samples))
    rest = Panel(316, 110, last, nice(count), "segments, and records that are left as counts in cells")
    for number, (name, text) in enumerate([("segments", "segments"), ("in_cells", "records in cells")]):
        rest.line(days, [sample[name] for sample in samples], COLOURS[number])
        rest.legend(number, COLOURS[number], text)
    late = Panel(474, 30, last, 10, "fields overdue, their grace included")
    late.line(days, [sum(sum(of.values()) for of in sample["overdue"].values()) for sample in samples], COLOURS[3])
    late.legend(0, COLOURS[3], "overdue")

    marks = []
    for event in events:
        if event["what"] == "kill":
            marks.append(f'<path d="M{fields.x(event["day"]):.1f} 30l-3 -7h6z" class="k"/>')
        elif event["what"] in WORDS and not (event["what"] == "policy" and event["day"] < 1):
            x = fields.x(event["day"])
            marks.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="58" y2="504" class="m"><title>day {event["day"]:.0f}: {WORDS[event["what"]]}</title></line>')
            if event["what"] == "policy":
                marks.append(f'<text x="{x + 3:.1f}" y="70" class="s">new policy</text>')
            elif event["what"] in ("hold", "release"):
                marks.append(f'<text x="{x + 3:.1f}" y="82" class="s">{WORDS[event["what"]]}</text>')
    kills = sum(event["what"] == "kill" for event in events)
    for month in range(int(last // 30.4) + 1):
        x = fields.x(month * 30.4)
        marks.append(f'<text x="{x:.1f}" y="522" class="c">month {month + 1}</text>' if month * 30.4 < last - 10 else "")
    style = (
        f"text{{font:12px system-ui,sans-serif;fill:{INK}}}.t{{font-weight:600}}.e{{text-anchor:end}}.s{{font-size:10px}}"
        f".g{{stroke:{INK};stroke-opacity:.3}}.m{{stroke:{INK};stroke-dasharray:2 3}}.k{{fill:{INK}}}"
    )
    parts = [f'<text x="{WIDTH - RIGHT + 12}" y="30">▾ {kills} × kill -9</text>']
    parts += fields.parts + rest.parts + late.parts + marks
    with open(out, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 530" role="img" aria-label="A simulated retention life of {last:.0f} days">')
        file.write(f"<style>{style}</style>{''.join(parts)}</svg>\n")


if __name__ == "__main__":
    main()
