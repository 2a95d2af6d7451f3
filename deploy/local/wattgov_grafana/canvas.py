"""A picture in pixels, counted from its upper left corner."""

from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.patches import FancyBboxPatch, Patch, Polygon, Rectangle
from PIL import Image, ImageFont

from wattgov_grafana import theme

DPI = 100.0
POINTS_A_PIXEL = 72.0 / DPI
LABEL_PIXELS = 10.5
FONT = "DejaVu Sans"
"""Comes with matplotlib, so that a picture is the same everywhere."""
Align = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float

    def inner(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return what is left inside of margins."""
        return Box(
            self.x + left, self.y + top, self.width - left - right, self.height - top - bottom
        )


class Canvas:
    """A page to draw on."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=theme.PAGE)
        self._page = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._page.set_axis_off()
        self._page.set_xlim(0, width)
        self._page.set_ylim(height, 0)
        self._fonts: dict[tuple[float, bool], ImageFont.FreeTypeFont] = {}

    def rectangle(self, box: Box, fill: str, edge: str | None = None, radius: float = 0.0) -> None:
        """Draw a filled rectangle."""
        place, edge = (box.x, box.y), edge or "none"
        patch: Patch
        if radius:
            round_ = f"round,pad=0,rounding_size={radius}"
            patch = FancyBboxPatch(place, box.width, box.height, boxstyle=round_)
        else:
            patch = Rectangle(place, box.width, box.height)
        patch.set(facecolor=fill, edgecolor=edge, linewidth=0.8)
        self._page.add_patch(patch)

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        """Draw a line through points."""
        xs, ys = zip(*points, strict=True)
        self._page.plot(xs, ys, color=colour, linewidth=width, solid_capstyle="round")

    def polygon(self, points: list[tuple[float, float]], fill: str, alpha: float = 1.0) -> None:
        """Draw a filled polygon."""
        self._page.add_patch(Polygon(points, facecolor=fill, alpha=alpha, linewidth=0))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        pixels: float = 12.0,
        *,
        colour: str = theme.TEXT,
        align: Align = "left",
        bold: bool = False,
        room: float | None = None,
    ) -> float:
        """Write in the middle of the line at *y*; shorten to *room*; return the width written."""
        if room is not None:
            words = self.shortened(words, pixels, room, bold=bold)
        self._page.text(
            x,
            y,
            words,
            color=colour,
            fontfamily=FONT,
            fontsize=pixels * POINTS_A_PIXEL,
            fontweight="bold" if bold else "normal",
            horizontalalignment=align,
            verticalalignment="center_baseline",
            parse_math=False,
        )
        return self.wide(words, pixels, bold=bold)

    def shortened(self, words: str, pixels: float, room: float, *, bold: bool = False) -> str:
        """Return the words, with an ellipsis for what has no room."""
        if self.wide(words, pixels, bold=bold) <= room:
            return words
        while words and self.wide(f"{words}…", pixels, bold=bold) > room:
            words = words[:-1]
        return f"{words}…"

    def wide(self, words: str, pixels: float, *, bold: bool = False) -> float:
        """Return how many pixels a text takes."""
        font = self._fonts.get((pixels, bold))
        if font is None:
            weight = "bold" if bold else "normal"
            path = findfont(FontProperties(family=FONT, weight=weight))
            font = self._fonts[pixels, bold] = ImageFont.truetype(path, pixels)
        return font.getlength(words)

    def chart(self, box: Box) -> Axes:
        """Return axes that fill a rectangle of the picture."""
        axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.place(axes, box)
        axes.set_facecolor("none")
        axes.tick_params(
            colors=theme.MUTED,
            labelsize=LABEL_PIXELS * POINTS_A_PIXEL,
            length=0,
            pad=4,
            which="both",
        )
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.grid(visible=True, color=theme.GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        return axes

    def place(self, axes: Axes, box: Box) -> None:
        """Move axes, so that they fill a rectangle of the picture."""
        axes.set_position(
            (
                box.x / self.width,
                1.0 - (box.y + box.height) / self.height,
                box.width / self.width,
                box.height / self.height,
            )
        )

    def save(self, path: Path) -> None:
        """Write the picture: SVG by its name, else a small PNG: in 256 colours."""
        if path.suffix == ".svg":
            self.figure.savefig(path, metadata={"Date": None})
            return
        drawn = BytesIO()
        self.figure.savefig(drawn, format="png", metadata={"Software": None})
        picture = Image.open(drawn).convert("RGB")
        flat = picture.tobytes()
        counted = Counter(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        # Colours that mean something come first, however few their pixels are.
        kept = [tuple(bytes.fromhex(one.removeprefix("#"))) for one in theme.KEPT]
        colours = dict.fromkeys([*kept, *(one for one, _ in counted.most_common(256))])
        palette = Image.new("P", (1, 1))
        palette.putpalette(bytes(chain.from_iterable([*colours][:256])))
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
