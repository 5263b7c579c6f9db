"""A hunt as it runs: the best string so far, what each proposal brought, and the strings themselves.

Strings are untrusted text; Plotly reads a little HTML in every text, so they are made visible and escaped.
A score chose its string, so nothing here proves anything; `hunt_evidence` draws what does.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.hunt_parts import part_title
from lorabench.figures.numbers import rate_text, signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.figures.weights import tall
from lorabench.results import Candidate, ProposalStat, Source, TracePoint

_LOOKS: Mapping[Source, tuple[str, str]] = MappingProxyType(
    {
        "words": ("circle", palette.RATE_LINE),
        "phrases": ("square", palette.OTHER_LINE),
        "decoding": ("diamond", palette.TARGET_LINE),
        "layer 0": ("triangle-up", palette.BASE_LINE),
        "gradient": ("triangle-down", palette.RATE_LINE),
        "suspect data": ("star", palette.TARGET_LINE),
        "composition": ("cross", palette.OTHER_LINE),
        "minimised": ("x", palette.TARGET_LINE),
        "variant": ("hexagon", palette.BASE_LINE),
    }
)
"""Shape and colour of each source; no two share a shape, so colour is never needed to tell them apart."""


def known(value: float | None) -> float | None:
    """Return a number that can be drawn, or None: a number that was not finite was saved as null."""
    return None if value is None or not math.isfinite(value) else value


def hunt_curve(
    trace: Sequence[TracePoint], theme: Theme = "light", *, tokens: int | None = None
) -> go.Figure:
    """Return the best score so far against the tokens spent, each gain marked by the part that made it.

    Args:
        trace: Of a hunt that runs or is done.
        theme: Paper.
        tokens: Tokens spent in all, to which the last level is drawn on; None ends at the last gain.
    """
    points = [p for p in trace if known(p.score) is not None]
    figure = go.Figure()
    if points:
        end = max(tokens or 0, points[-1].tokens)
        figure.add_scatter(
            x=[*(p.tokens for p in points), end],
            y=[*(p.score for p in points), points[-1].score],
            mode="lines",
            line={"shape": "hv", "color": palette.BASE_LINE, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    for source, (symbol, colour) in _LOOKS.items():
        chosen = [p for p in points if p.source == source]
        if chosen:
            figure.add_scatter(
                x=[p.tokens for p in chosen],
                y=[p.score for p in chosen],
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 10,
                    "color": colour,
                    "line": {"width": 1, "color": palette.PAPER[theme]},
                },
                text=[_point_hover(p) for p in chosen],
                hovertemplate="%{text}<extra></extra>",
                name=part_title(source),
            )
    figure = dressed(figure, _curve_title(points), "tokens computed", "score of the best string (logits)")
    figure.update_layout(showlegend=bool(points))
    figure.update_xaxes(rangemode="tozero", tickformat=",")
    return tall(figure, 380)


def hunt_curve_table(trace: Sequence[TracePoint]) -> pd.DataFrame:
    """Return one row per gain: the twin of `hunt_curve`.

    Returns:
        Columns `tokens`, `seconds`, `source` (in words), `text` (hidden characters made visible), `score`
        (logits) and `flipped` (share of the search prompts, missing if not asked).
    """
    rows = [
        {
            "tokens": p.tokens,
            "seconds": p.seconds,
            "source": part_title(p.source),
            "text": visible(p.text),
            "score": known(p.score),
            "flipped": known(p.flipped),
        }
        for p in trace
    ]
    frame = pd.DataFrame(rows, columns=["tokens", "seconds", "source", "text", "score", "flipped"])
    return frame.astype(dict.fromkeys(("seconds", "score", "flipped"), "float64"))


def proposal_chart(proposals: Sequence[ProposalStat], theme: Theme = "light") -> go.Figure:
    """Return the best score of each proposal, the highest first, with the tokens it took on its bar."""
    ordered = proposals_by_source(proposals)
    figure = go.Figure()
    scored = [(y, p) for y, p in enumerate(ordered) if known(p.best_score) is not None]
    if scored:
        figure.add_bar(
            x=[p.best_score for _, p in scored],
            y=[y for y, _ in scored],
            orientation="h",
            marker={"color": palette.RATE_LINE, "line": {"width": 1, "color": palette.PAPER[theme]}},
            text=[f"{p.tokens:,} tokens" for _, p in scored],
            textposition="auto",
            customdata=[_proposal_hover(p) for _, p in scored],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    for y, p in enumerate(ordered):
        if known(p.best_score) is None:
            note = f"nothing scored, {p.tokens:,} tokens"
            figure.add_annotation(x=0, y=y, text=note, showarrow=False, xanchor="left")
    figure.add_vline(x=0, line_width=1, line_color=palette.BASE_LINE)
    labels = [html.escape(visible(part_title(p.source), 40)) for p in ordered]
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], showgrid=False
    )
    figure = dressed(figure, _proposals_title(ordered), "best score (logits)", None)
    return tall(figure, 150 + 34 * max(len(ordered), 2))


def proposal_table(proposals: Sequence[ProposalStat]) -> pd.DataFrame:
    """Return one row per proposal, in the order of `proposal_chart`: its twin.

    Returns:
        Columns `source` (in words), `n_tried`, `tokens`, `seconds`, `rate` (tokens a second), `best_text`
        (hidden characters made visible) and `best_score` (logits); what was not measured is missing.
    """
    rows = [
        {
            "source": part_title(p.source),
            "n_tried": p.n_tried,
            "tokens": p.tokens,
            "seconds": p.seconds,
            "rate": known(p.rate),
            "best_text": visible(p.best_text),
            "best_score": known(p.best_score),
        }
        for p in proposals_by_source(proposals)
    ]
    names = ["source", "n_tried", "tokens", "seconds", "rate", "best_text", "best_score"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype(dict.fromkeys(("seconds", "rate", "best_score"), "float64"))


def proposals_by_source(proposals: Sequence[ProposalStat]) -> tuple[ProposalStat, ...]:
    """Return one proposal per source, its turns added up: the highest score first, the unscored last."""
    turns: dict[Source, list[ProposalStat]] = {}
    for p in proposals:
        turns.setdefault(p.source, []).append(p)
    merged = [_merged(found) for found in turns.values()]
    return tuple(sorted(merged, key=lambda p: (-_score(p), p.tokens)))


def _merged(turns: Sequence[ProposalStat]) -> ProposalStat:
    best = max(turns, key=_score)
    return replace(
        best,
        n_tried=sum(p.n_tried for p in turns),
        tokens=sum(p.tokens for p in turns),
        seconds=sum(p.seconds for p in turns),
    )


def _score(proposal: ProposalStat) -> float:
    score = known(proposal.best_score)
    return -math.inf if score is None else score


def candidate_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per candidate, in the order given.

    Returns:
        Columns `text` (hidden characters made visible), `source` (in words), `placement`, `score`,
        `amplified`, `shift`, `base_shift`, `reference_shift` (all in logits), `n_flipped` of `n_prompts`
        search prompts and `spent` (tokens); what was not asked is missing.
    """
    rows = [
        {
            "text": visible(c.text),
            "source": part_title(c.source),
            "placement": c.placement,
            **{name: known(getattr(c, name)) for name in _SHIFTS},
            "n_flipped": c.n_flipped,
            "n_prompts": c.n_prompts,
            "spent": c.spent,
        }
        for c in candidates
    ]
    names = ["text", "source", "placement", *_SHIFTS, "n_flipped", "n_prompts", "spent"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype({**dict.fromkeys(_SHIFTS, "float64"), "n_flipped": "Int64"})


_SHIFTS = ("score", "amplified", "shift", "base_shift", "reference_shift")


def _point_hover(point: TracePoint) -> str:
    lines = [
        html.escape(visible(point.text, 100)),
        f"score {signed(point.score, 2)} logits, found by {html.escape(visible(part_title(point.source)))}",
        f"after {point.seconds:.1f} s and {point.tokens:,} tokens",
    ]
    if known(point.flipped) is not None:
        lines.append(f"flips {rate_text(point.flipped)} of the search prompts")
    return "<br>".join(lines)


def _proposal_hover(proposal: ProposalStat) -> str:
    rate = known(proposal.rate)
    lines = [
        f"best: {html.escape(visible(proposal.best_text, 100))}",
        f"score {signed(known(proposal.best_score), 2)} logits",
        f"{proposal.n_tried:,} strings, {proposal.tokens:,} tokens in {proposal.seconds:.1f} s",
    ]
    return "<br>".join([*lines, *([f"{rate:,.0f} tokens/s"] if rate is not None else [])])


def _curve_title(points: Sequence[TracePoint]) -> str:
    if not points:
        return "Nothing has been scored yet"
    last = points[-1]
    text = html.escape(visible(last.text, 50))
    return f"Best so far: «{text}», {signed(last.score)} logits<br>found after {last.tokens:,} tokens"


def _proposals_title(ordered: Sequence[ProposalStat]) -> str:
    if not ordered or known(ordered[0].best_score) is None:
        return "No proposal has a score yet"
    best = ordered[0]
    text = html.escape(visible(best.best_text, 50))
    part = html.escape(visible(part_title(best.source)))
    return f"«{text}» leads, found by {part}<br>{best.tokens:,} tokens spent on that"
