"""Results as files and text: JSON, CSV, Parquet, PNG, SVG, one-file HTML, and terminal summaries.

Scans also as SARIF, CycloneDX and Markdown (`render_scan`), at three levels of disclosure.

Knows results and figures, never a model or a page. Untrusted text is inert in every sink: escaped
in HTML, made visible in a terminal, quoted where a spreadsheet would run it.
"""

from lorabench.figures import safe_text
from lorabench.report.exports import (
    attribution_csv,
    csv_bytes,
    heatmap_csv,
    heatmap_parquet,
    heatmap_png,
    heatmap_svg,
    parquet_bytes,
    quad_png,
    quad_svg,
    scores_csv,
    scores_parquet,
    to_json,
)
from lorabench.report.html import heatmap_html, quad_html, scores_html
from lorabench.report.hunt import (
    HUNT_FORMATS,
    hunt_frame,
    hunt_markdown,
    hunt_so_far_text,
    hunt_text,
    render_hunt,
)
from lorabench.report.hunt_html import hunt_html
from lorabench.report.limits import MAP_LIMITS, METHODS, NOT_A_VERDICT, heatmap_sentence, task_sentence
from lorabench.report.scan_disclosure import DISCLOSURES, Disclosure, disclosed
from lorabench.report.scan_facts import ScanFacts, scan_facts
from lorabench.report.scan_json import read_scan
from lorabench.report.scan_markdown import model_card_block
from lorabench.report.scan_render import SCAN_FORMATS, render_scan
from lorabench.report.scan_rows import scan_frame
from lorabench.report.scan_text import scan_text
from lorabench.report.tables import attribution_frame, scores_frame
from lorabench.report.text import adapter_text, heatmap_text, quad_text, score_text

__all__ = [
    "DISCLOSURES",
    "HUNT_FORMATS",
    "MAP_LIMITS",
    "METHODS",
    "NOT_A_VERDICT",
    "SCAN_FORMATS",
    "Disclosure",
    "ScanFacts",
    "adapter_text",
    "attribution_csv",
    "attribution_frame",
    "csv_bytes",
    "disclosed",
    "heatmap_csv",
    "heatmap_html",
    "heatmap_parquet",
    "heatmap_png",
    "heatmap_sentence",
    "heatmap_svg",
    "heatmap_text",
    "hunt_frame",
    "hunt_html",
    "hunt_markdown",
    "hunt_so_far_text",
    "hunt_text",
    "model_card_block",
    "parquet_bytes",
    "quad_html",
    "quad_png",
    "quad_svg",
    "quad_text",
    "read_scan",
    "render_hunt",
    "render_scan",
    "safe_text",
    "scan_facts",
    "scan_frame",
    "scan_text",
    "score_text",
    "scores_csv",
    "scores_frame",
    "scores_html",
    "scores_parquet",
    "task_sentence",
    "to_json",
]
