"""Downloads: JSON, CSV, Parquet, PNG and SVG, each safe to open in the program it is meant for."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from lorabench import __version__
from lorabench.figures import Theme, encodable, heatmap_chart, heatmap_frame, palette, words_chart
from lorabench.report.tables import attribution_frame, scores_frame
from lorabench.results import Heatmap, Quad, ScoreReport, to_dict

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets read the full-width signs too
"""First characters that make a spreadsheet evaluate a cell (OWASP, "CSV injection")."""

_HIDDEN = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\uffff]"
)


def to_json(value: Any) -> str:
    """Return a result as indented JSON in field order, headed by lorabench's version and the result's type.

    Control, bidi and zero-width characters are written as escapes: the file reads back to the
    exact strings, but cannot disguise itself in a terminal or a code review.
    """
    fields = to_dict(value)
    head = {"lorabench": __version__, "type": type(value).__name__}
    is_flat = dataclasses.is_dataclass(value) and not head.keys() & fields.keys()
    body = {**head, **fields} if is_flat else {**head, "value": fields}
    text = json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False)
    return _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV whose text cells no spreadsheet will evaluate.

    A text that begins with = + - @, a tab or a line break gets a single quote in front (so does
    such a column name); numbers are untouched.
    """
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):  # booleans count as numbers here
            safe[name] = safe[name].map(_inert, na_action="ignore")
    safe.columns = pd.Index([_inert(c) for c in safe.columns])
    text = safe.to_csv(index=False, lineterminator="\r\n")  # also makes lone \r and \n quoted
    return encodable(text).encode()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet; texts are exact but for lone surrogates, which UTF-8 cannot hold."""
    clean = frame.copy()
    for name in clean.columns:
        if not pd.api.types.is_numeric_dtype(clean[name]):
            clean[name] = clean[name].map(_storable, na_action="ignore")
    buffer = io.BytesIO()
    clean.to_parquet(buffer, index=False)
    return buffer.getvalue()


def scores_csv(report: ScoreReport) -> bytes:
    """Return `scores_frame` as CSV."""
    return csv_bytes(scores_frame(report))


def scores_parquet(report: ScoreReport) -> bytes:
    """Return `scores_frame` as Parquet."""
    return parquet_bytes(scores_frame(report))


def heatmap_csv(heatmap: Heatmap) -> bytes:
    """Return `figures.heatmap_frame` as CSV: one row per variant and column."""
    return csv_bytes(heatmap_frame(heatmap))


def heatmap_parquet(heatmap: Heatmap) -> bytes:
    """Return `figures.heatmap_frame` as Parquet: one row per variant and column."""
    return parquet_bytes(heatmap_frame(heatmap))


def attribution_csv(quad: Quad) -> bytes:
    """Return every word of every map of a 2x2 as CSV."""
    return csv_bytes(attribution_frame(quad))


def heatmap_svg(
    heatmap: Heatmap,
    *,
    theme: Theme = "light",
    families_open: Collection[str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> str:
    """Return the heatmap as SVG text, drawn here without a browser or a network."""
    spec = heatmap_chart(heatmap, theme=theme, families_open=families_open, titles=titles).to_dict()
    return str(vl_convert.vegalite_to_svg(spec, **_drawing(theme)))


def heatmap_png(
    heatmap: Heatmap,
    scale: float = 2,
    *,
    theme: Theme = "light",
    families_open: Collection[str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> bytes:
    """Return the heatmap as PNG, drawn here without a browser or a network.

    Args:
        heatmap: The result.
        scale: Pixels per CSS pixel; 2 is sharp on a projector and in print.
        theme: Paper.
        families_open: Families shown variant by variant; None for all.
        titles: What people read for a family key.
    """
    spec = heatmap_chart(heatmap, theme=theme, families_open=families_open, titles=titles).to_dict()
    return bytes(vl_convert.vegalite_to_png(spec, scale=scale, **_drawing(theme)))


def quad_svg(quad: Quad, *, theme: Theme = "light") -> str:
    """Return the word scores of a 2x2 as SVG text, drawn here without a browser or a network."""
    return str(vl_convert.vegalite_to_svg(words_chart(quad, theme=theme).to_dict(), **_drawing(theme)))


def quad_png(quad: Quad, scale: float = 2, *, theme: Theme = "light") -> bytes:
    """Return the word scores of a 2x2 as PNG, `scale` pixels per CSS pixel."""
    spec = words_chart(quad, theme=theme).to_dict()
    return bytes(vl_convert.vegalite_to_png(spec, scale=scale, **_drawing(theme)))


def _drawing(theme: Theme) -> dict[str, Any]:
    version = "v" + ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return {
        "vl_version": version,
        "config": {"background": palette.PAPER[theme], "padding": 12},
        "allowed_base_urls": [],  # a chart has no business on the network
    }


def _storable(value: Any) -> Any:
    return encodable(value) if isinstance(value, str) else value


def _inert(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value
