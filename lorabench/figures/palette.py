"""Colour scales, in one place: three families that are never mixed on one scale.

Raw attribution is orange (pushes to the target) against blue; differences of attributions
are purple against green; rates are one teal hue, light to dark. All three keep their order
for readers with colour-vision deficiencies, and lightness alone orders the rate scale.
"""

from __future__ import annotations

from typing import Final, Literal

Theme = Literal["light", "dark"]
Kind = Literal["raw", "difference"]

DIVERGING: Final[dict[tuple[Kind, Theme], tuple[str, ...]]] = {
    ("raw", "light"): ("#2b6cb0", "#7fb2dd", "#d6e8f6", "#ffffff", "#fde3c8", "#f9ae62", "#e06c00"),
    ("raw", "dark"): ("#63b3ff", "#3573b3", "#1c3a5a", "#14171f", "#5a3410", "#b3650f", "#ff9d3c"),
    ("difference", "light"): ("#1b7837", "#7cc08a", "#d9efd9", "#ffffff", "#e9d9ee", "#b98bc6", "#762a83"),
    ("difference", "dark"): ("#6fd08c", "#3b8453", "#1d422a", "#14171f", "#44234d", "#8d5b9b", "#dba6ea"),
}
"""Stops of the diverging scales, most negative first."""

SEQUENTIAL: Final[dict[Theme, tuple[str, ...]]] = {
    "light": ("#eef7f6", "#bfe0dc", "#84c0bb", "#469a97", "#177173", "#00464d"),
    "dark": ("#10262a", "#174549", "#1f6a6b", "#2f9490", "#5cc2b8", "#a8f0e4"),
}
"""Stops of the rate scale, from 0 to 1."""

HUES: Final[dict[Kind, tuple[str, str]]] = {"raw": ("Orange", "blue"), "difference": ("Purple", "green")}
"""What the two ends of a diverging scale are called in sentences: positive, negative."""

PAPER: Final[dict[Theme, str]] = {"light": "#ffffff", "dark": "#0e1117"}
INK: Final[dict[Theme, str]] = {"light": "#1f2430", "dark": "#e8eaf0"}
MUTED: Final[dict[Theme, str]] = {"light": "#5b6270", "dark": "#a3a9b7"}
NEUTRAL: Final[dict[Theme, str]] = {"light": "#e4e6eb", "dark": "#2b303b"}
"""Fill of a cell whose rate was not measured."""
RULE: Final[dict[Theme, str]] = {"light": "#c9cdd6", "dark": "#444b59"}
"""Thin lines, and the dashed edge of a cell that has not run."""

BASE_LINE: Final = "#7d8597"
TARGET_LINE: Final = "#d96b00"
OTHER_LINE: Final = "#3f83c4"
RATE_LINE: Final = "#1f8a87"
"""Line colours with at least 3:1 contrast on both papers, for Plotly figures."""


def diverging(value: float, domain: float, kind: Kind = "raw", theme: Theme = "light") -> str:
    """Return the colour of `value` on a scale symmetric about 0.

    Args:
        value: Score in logits; clipped to the domain.
        domain: Score that gets the full colour, above 0.
        kind: Which pair of hues.
        theme: Which paper it will be painted on.

    Returns:
        "#rrggbb".
    """
    if not domain > 0:
        raise ValueError(f"the domain must be above 0, got {domain}")
    return _mix(DIVERGING[kind, theme], (min(max(value / domain, -1.0), 1.0) + 1) / 2)


def sequential(fraction: float, theme: Theme = "light") -> str:
    """Return the colour of a rate in [0, 1] as "#rrggbb"."""
    return _mix(SEQUENTIAL[theme], min(max(fraction, 0.0), 1.0))


def ink_on(background: str) -> str:
    """Return black or white, whichever has the higher WCAG contrast (never below 4.5) on `background`."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, background))


def contrast(first: str, second: str) -> float:
    """Return the WCAG 2.2 contrast ratio of two "#rrggbb" colours, from 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Return the WCAG 2.2 relative luminance of "#rrggbb", from 0 to 1."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mix(stops: tuple[str, ...], position: float) -> str:
    """Return the colour at `position` in [0, 1], linear in RGB between equally spaced stops."""
    place = position * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    part = place - left
    pairs = zip(_rgb(stops[left]), _rgb(stops[left + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)
