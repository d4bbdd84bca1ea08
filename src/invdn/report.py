"""An evaluation as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
import html
import io
import math
from collections import defaultdict
from typing import Any

import numpy as np

from invdn.data.patches import Pixels
from invdn.evaluate import Evaluation, Example, Result

DIFFERENCE_GAIN = 4


def html_report(evaluation: Evaluation) -> str:
    """The page: a table, PSNR against time, each image's gain, and crops with a wipe slider."""
    sections = [
        _table(evaluation),
        f"<h2>Quality and time</h2>{_psnr_against_time(evaluation)}",
        f"<h2>Each image</h2>{_gain_of_each_image(evaluation)}",
        f"<h2>Largest gains and losses</h2>{_examples(evaluation.examples)}",
    ]
    return page(evaluation.title or "Evaluation", evaluation.notices, sections)


def page(title: str, notices: list[str], sections: list[str]) -> str:
    """A page with sections of HTML."""
    heading = html.escape(title)
    said = "".join(f'<p class="notice">{html.escape(n)}</p>' for n in notices)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{heading}</h1>{said}"
        + "\n".join(sections)
        + f"<script>{_SCRIPT}</script></body></html>\n"
    )


def table(head: list[str], body: list[list[str]]) -> str:
    """An HTML table of plain texts."""
    cells = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in body
    )
    inner = f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table>{inner}</table></div>'


def svg(figure: Any) -> str:
    """A matplotlib figure as an inline SVG element."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    content = text.getvalue()
    return '<div class="plot">' + content[content.index("<svg") :] + "</div>"


def new_figure(width: float = 7.0, height: float = 4.0) -> tuple[Any, Any]:
    """A figure with one pair of axes; the caller's window system and figures stay as they are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label(name: str) -> str:
    """A name as matplotlib is to write it: it takes what stands between dollars for a formula."""
    return name.replace("$", r"\$")


def _table(evaluation: Evaluation) -> str:
    bound = ", best strength (upper bound)" if evaluation.oracle else ""
    rows = [
        [
            row["method"] + bound,
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['s_per_mp']:.2f}",
            f"{row['gain']:+.2f}",
            f"{row['worst_image']} ({row['worst_gain']:+.2f})",
        ]
        for row in sorted(evaluation.rows(), key=lambda r: -r["psnr"])
    ]
    noisy = [
        float(np.mean(list(v.values()))) for v in (evaluation.noisy_psnr, evaluation.noisy_ssim)
    ]
    rows.append(["noisy", f"{noisy[0]:.2f}", f"{noisy[1]:.4f}", "", "", ""])
    head = ["method", "PSNR, dB", "SSIM", "seconds / MP", "gain, dB", "worst image"]
    return f"<p>{len(evaluation.noisy_psnr)} images.</p>" + table(head, rows)


def _psnr_against_time(evaluation: Evaluation) -> str:
    from matplotlib.ticker import LogLocator, NullLocator

    rows = [row for row in evaluation.rows() if math.isfinite(row["psnr"])]
    if not rows:
        return "<p>Every method has restored a picture exactly: no mean is finite.</p>"
    figure, axes = new_figure()
    # Names alternate above and below, from best to worst: two points that lie together keep theirs.
    ranks = {r["method"]: i for i, r in enumerate(sorted(rows, key=lambda r: r["psnr"]))}
    for row in rows:
        axes.plot(row["s_per_mp"], row["psnr"], "o")
        offset = (6, -12) if ranks[row["method"]] % 2 else (6, 4)
        at = (row["s_per_mp"], row["psnr"])
        axes.annotate(_label(row["method"]), at, offset, textcoords="offset points")
    noisy = float(np.mean(list(evaluation.noisy_psnr.values())))
    if math.isfinite(noisy):
        axes.axhline(noisy, color="grey", ls="--", lw=1)
    axes.set(xscale="log", xlabel="seconds a megapixel", ylabel="mean PSNR, dB (dashed: noisy)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(0.15)
    return svg(figure)


def _gain_of_each_image(evaluation: Evaluation) -> str:
    by_method: dict[str, list[Result]] = defaultdict(list)
    for result in evaluation.results:
        by_method[result.method].append(result)
    order = sorted(evaluation.noisy_psnr, key=lambda name: evaluation.noisy_psnr[name])
    place = {name: i for i, name in enumerate(order)}
    figure, axes = new_figure(width=min(16.0, max(7.0, 0.35 * len(order))))
    for results in by_method.values():
        marker = "o" if len(order) <= 200 else ","
        axes.plot([place[r.image] for r in results], [r.gain for r in results], marker, ms=5)
    # A zero-width space: matplotlib leaves out what begins with an underscore.
    axes.legend(axes.lines, ["\u200b" + _label(name) for name in by_method], frameon=False)
    axes.axhline(0.0, color="grey", lw=1)
    if len(order) <= 40:
        axes.set_xticks(range(len(order)), map(_label, order), rotation=90, fontsize=8)
    axes.set(xlabel="image, noisiest first", ylabel="gain, dB")
    return svg(figure)


def _examples(examples: list[Example]) -> str:
    return "".join(map(_example, sorted(examples, key=lambda e: -e.gain)))


def _example(example: Example) -> str:
    name = html.escape(f"{example.image}, {example.method}: {example.gain:+.2f} dB")
    height, width = example.noisy.shape[:2]
    noisy, restored, clean = map(_png, (example.noisy, example.restored, example.clean))
    difference = _png(_difference(example.restored, example.clean))
    size = f'width="{2 * width}" height="{2 * height}"'

    def still(source: str, caption: str) -> str:
        return f'<figure><img {size} src="{source}" alt="{caption}">' + (
            f"<figcaption>{caption}</figcaption></figure>"
        )

    wipe = (
        f'<figure><div class="wipe"><img {size} src="{restored}" alt="restored">'
        f'<img class="over" {size} src="{noisy}" alt="noisy"><div class="edge"></div>'
        f'<input type="range" min="0" max="100" value="50" step="0.1" '
        f'aria-label="wipe between noisy and restored: {name}"></div>'
        "<figcaption>noisy | restored (drag)</figcaption></figure>"
    )
    return (
        f'<section class="example"><h3>{name}</h3><div class="row">{wipe}'
        + still(clean, "clean")
        + still(difference, f"restored − clean, ×{DIFFERENCE_GAIN}, grey is equal")
        + "</div></section>"
    )


def _difference(restored: Pixels, clean: Pixels) -> Pixels:
    difference = restored.astype(np.int16) - clean.astype(np.int16)
    return np.clip(128 + DIFFERENCE_GAIN * difference, 0, 255).astype(np.uint8)


def _png(pixels: Pixels) -> str:
    """Pixels as a data URL."""
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="srgb")
    return "data:image/png;base64," + base64.b64encode(image.pngsave_buffer()).decode("ascii")


_STYLE = """
:root{color-scheme:light dark;--edge:#8884}
body{font:16px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem}h3{font-size:1rem;margin-bottom:.4rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .9rem;text-align:right;border-bottom:1px solid var(--edge)}
th:first-child,td:first-child{text-align:left}
.notice{border-left:4px solid #c80;padding:.3rem .8rem}
.wide{overflow-x:auto}
.plot{background:#fff;overflow-x:auto;width:fit-content;max-width:100%}
.plot svg{max-width:100%;height:auto}
.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:100%}
figcaption{font-size:.85rem}
img{image-rendering:pixelated;display:block;max-width:100%;height:auto}
.wipe{position:relative;--x:50%}
.wipe .over{position:absolute;inset:0;width:100%;height:100%;
clip-path:inset(0 calc(100% - var(--x)) 0 0)}
.wipe .edge{position:absolute;top:0;bottom:0;left:var(--x);width:2px;margin-left:-1px;
background:#fff;box-shadow:0 0 2px #000;pointer-events:none}
.wipe input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize}
.wipe:focus-within{outline:3px solid #48f}
"""

_SCRIPT = """
for (const input of document.querySelectorAll(".wipe input")) {
  const show = () => input.parentElement.style.setProperty("--x", input.value + "%");
  input.addEventListener("input", show);
  show();
}
"""
