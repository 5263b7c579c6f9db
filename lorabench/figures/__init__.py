"""Results as charts and coloured words; knows results and nothing else, and draws nothing by itself.

Altair for the clickable heatmap, Plotly for curves and bars, escaped HTML for words. Every
untrusted string is made `visible` and then handed to its sink as data, or escaped.
"""

from lorabench.figures.curves import deletion_figure, margin_bars, training_figure
from lorabench.figures.heatmap import Picked, heatmap_chart, read_selection
from lorabench.figures.heatmap_tables import heatmap_frame, heatmap_table, ordered_families
from lorabench.figures.hunt import (
    candidate_table,
    hunt_curve,
    hunt_curve_table,
    proposal_chart,
    proposal_table,
)
from lorabench.figures.hunt_causes import enrichment_chart, enrichment_table, layer_chart, layer_table
from lorabench.figures.hunt_evidence import evidence_chart, evidence_table
from lorabench.figures.hunt_neighbours import (
    look_alike_table,
    neighbour_chart,
    neighbour_table,
    neighbourhood_note,
    neighbours_in_order,
)
from lorabench.figures.hunt_parts import part_title
from lorabench.figures.numbers import cost_text, interval_text, rate_sentence, rate_text, sharing_text, signed
from lorabench.figures.palette import Kind, Theme
from lorabench.figures.pooling import Pooled, pool
from lorabench.figures.probes import probe_chart, probe_table, probes_in_order
from lorabench.figures.sentences import answer_names, quad_sentence, question_sentence
from lorabench.figures.trainings import predicted_bars, sweep_chart, sweep_table, transition_zone
from lorabench.figures.visible import encodable, safe_text, visible
from lorabench.figures.weights import spectrum_chart, weight_heatmap, weight_table
from lorabench.figures.words_chart import words_chart
from lorabench.figures.words_html import legend_html, shared_domain, summary, words_html
from lorabench.figures.words_table import words_table

__all__ = [
    "Kind",
    "Picked",
    "Pooled",
    "Theme",
    "answer_names",
    "candidate_table",
    "cost_text",
    "deletion_figure",
    "encodable",
    "enrichment_chart",
    "enrichment_table",
    "evidence_chart",
    "evidence_table",
    "heatmap_chart",
    "heatmap_frame",
    "heatmap_table",
    "hunt_curve",
    "hunt_curve_table",
    "interval_text",
    "layer_chart",
    "layer_table",
    "legend_html",
    "look_alike_table",
    "margin_bars",
    "neighbour_chart",
    "neighbour_table",
    "neighbourhood_note",
    "neighbours_in_order",
    "ordered_families",
    "part_title",
    "pool",
    "predicted_bars",
    "probe_chart",
    "probe_table",
    "probes_in_order",
    "proposal_chart",
    "proposal_table",
    "quad_sentence",
    "question_sentence",
    "rate_sentence",
    "rate_text",
    "read_selection",
    "safe_text",
    "shared_domain",
    "sharing_text",
    "signed",
    "spectrum_chart",
    "summary",
    "sweep_chart",
    "sweep_table",
    "training_figure",
    "transition_zone",
    "visible",
    "weight_heatmap",
    "weight_table",
    "words_chart",
    "words_html",
    "words_table",
]
