"""Curves as SVG, written as text: a logarithmic or linear axis each, lines with dots, a legend."""
import html
import math

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 40, 50
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"]


def nice(value):
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


class Axis:
    """Values to pixels. Powers of ten (or halves of the range) carry a label."""

    def __init__(self, values, start, end, logarithmic):
        self.log = logarithmic and min(values) > 0
        self.low = min(values) if self.log else min(0, min(values))
        self.high = max(max(values), self.low + 1e-9)
        if self.log and self.high < self.low * 1.01:
            self.high = self.low * 10
        self.start, self.end = start, end

    def place(self, value):
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        if not self.log:
            return [self.low + (self.high - self.low) * i / 4 for i in range(5)]
        first = math.floor(math.log10(self.low))
        last = math.ceil(math.log10(self.high))
        ticks = [10.0 ** i for i in range(first, last + 1)]
        inside = [tick for tick in ticks if self.low <= tick <= self.high]
        return inside if len(inside) >= 2 else [self.low, self.high]


def curve(title, x_label, y_label, series, log_x=True, log_y=True):
    """`series`: name → [(x, y)…]. Answers the SVG's text."""
    points = [point for line in series.values() for point in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, log_x)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, log_y)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="22" font-size="15">{html.escape(title)}</text>',
           f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
           f'{html.escape(x_label)}</text>',
           f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
           f'{html.escape(y_label)}</text>']
    for tick in x.ticks():
        at = x.place(tick)
        out.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
                   f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
                   f'{nice(round(tick, 3))}</text>')
    for tick in y.ticks():
        at = y.place(tick)
        out.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
                   f'{nice(round(tick, 3))}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x.place(a), y.place(b)) for a, b in line]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        at = TOP + 10 + 20 * number
        out.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{at}" width="12" height="12" '
                   f'fill="{colour}"/><text x="{WIDTH - RIGHT + 30}" y="{at + 10}">'
                   f'{html.escape(name)}</text>')
    return "\n".join(out + ["</svg>", ""])


def bars(title, rows):
    """One bar for each (name, share), a line at 1; what is longer than 2 is cut off."""
    step, left, width = 24, 330, 300
    height = 60 + step * len(rows)
    scale = width / 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="20" y="24" font-size="14">{html.escape(title)}</text>']
    for i, (name, share) in enumerate(rows):
        y = 40 + i * step
        colour = COLOURS[2] if share <= 1 else COLOURS[1]
        label = html.escape(name)
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        out.append(f'<rect x="{left}" y="{y}" width="{min(share, 2) * scale:.1f}" '
                   f'height="{step - 8}" fill="{colour}"/>')
        end = left + min(share, 2) * scale + 6
        out.append(f'<text x="{end:.1f}" y="{y + 13}">{share:.2f}</text>')
    out.append(f'<line x1="{left + scale}" y1="34" x2="{left + scale}" y2="{height - 16}" '
               'stroke="black" stroke-dasharray="4 3"/>')
    return "\n".join(out) + "\n</svg>\n"
