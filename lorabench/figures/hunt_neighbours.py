"""The look-alikes of a found string, kind by kind: which changes it survives.

Texts are untrusted; Plotly reads a little HTML in every text, so they are made visible and escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.hunt import known
from lorabench.figures.numbers import rate_sentence, signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.figures.weights import tall
from lorabench.results import Interval, Neighbour, Neighbourhood, Rate

_HATCH = {"size": 6, "solidity": 0.3}


def neighbours_in_order(found: Neighbourhood) -> tuple[Neighbour, ...]:
    """Return the kinds by rate, highest first; controls last."""
    return tuple(sorted(found.neighbours, key=lambda n: (n.is_control, -(n.rate.value or 0.0))))


def neighbourhood_note(found: Neighbourhood) -> str:
    """Return what the numbers are not: one sentence that stands beside them everywhere."""
    return (
        f"Measured on {found.exact.n} search prompts, in {visible(found.precision, 20)}, on this adapter "
        "alone: it describes the string and proves nothing, because the search chose the string on these "
        "prompts and no clean adapter was asked."
    )


def neighbour_chart(found: Neighbourhood, theme: Theme = "light") -> go.Figure:
    """Return the share of flips of every kind of look-alike with its interval, the string itself on top.

    Controls are hatched, so colour is not needed to tell them apart.
    """
    rows: list[tuple[str, Rate, Interval | None, str]] = [
        ("the string itself", found.exact, found.exact.interval(), _own_hover(found))
    ]
    groups = ["string"]
    for n in neighbours_in_order(found):
        rows.append((_name(n), n.rate, n.interval, _hover(n)))
        groups.append("control" if n.is_control else "look-alikes")
    figure = go.Figure()
    for group, colour, shape in (
        ("string", palette.TARGET_LINE, ""),
        ("look-alikes", palette.RATE_LINE, ""),
        ("control", palette.BASE_LINE, "/"),
    ):
        chosen = [y for y, g in enumerate(groups) if g == group]
        _add_bars(figure, chosen, rows, colour=colour, shape=shape, name=group, theme=theme)
    labels = [html.escape(visible(name, 40)) for name, *_ in rows]
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], showgrid=False
    )
    figure.update_xaxes(range=[0, 1.03])
    figure = dressed(figure, _title(found), "share of look-alikes x search prompts that flip, 95 %", None)
    figure.update_layout(showlegend=True, bargap=0.3)
    return tall(figure, 170 + 24 * len(rows))


def neighbour_table(found: Neighbourhood) -> pd.DataFrame:
    """Return one row per kind, in the order of `neighbour_chart`, the string itself first: its twin.

    Returns:
        Columns `kind`, `still_flip` ("2 of 3" look-alikes that flip at least half of the prompts), `loudest`
        (the look-alike that flips most; hidden characters made visible), `loudest_hits` (prompts), `n_hits`
        of `n` pairs of look-alike and prompt, `rate`, `low` and `high` (of its interval).
    """
    own = found.exact.interval()
    rows = [
        {
            "kind": "the string itself",
            "still_flip": "",
            "loudest": "",
            "loudest_hits": found.exact.n_hits,
            **_numbers(found.exact, own),
        }
    ]
    rows += [
        {
            "kind": _name(n),
            "still_flip": f"{n.n_flipping} of {n.n_variants}",
            "loudest": visible(n.look_alikes[0].text),
            "loudest_hits": n.look_alikes[0].rate.n_hits,
            **_numbers(n.rate, n.interval),
        }
        for n in neighbours_in_order(found)
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(("rate", "low", "high"), "float64"))


def look_alike_table(found: Neighbourhood) -> pd.DataFrame:
    """Return one row per look-alike, kinds in the order of `neighbour_chart`.

    Returns:
        Columns `kind`, `text` and `change` (hidden characters made visible), `n_hits` of `n` prompts, `rate`
        and `shift` (mean margin shift in logits).
    """
    rows = [
        {
            "kind": _name(n),
            "text": visible(v.text),
            "change": visible(v.change),
            "n_hits": v.rate.n_hits,
            "n": v.rate.n,
            "rate": v.rate.value,
            "shift": known(v.shift),
        }
        for n in neighbours_in_order(found)
        for v in n.look_alikes
    ]
    frame = pd.DataFrame(rows, columns=["kind", "text", "change", "n_hits", "n", "rate", "shift"])
    return frame.astype({"rate": "float64", "shift": "float64"})


def _add_bars(
    figure: go.Figure,
    chosen: Sequence[int],
    rows: Sequence[tuple[str, Rate, Interval | None, str]],
    *,
    colour: str,
    shape: str,
    name: str,
    theme: Theme,
) -> None:
    if not chosen:
        return
    values = [rows[y][1].value or 0.0 for y in chosen]
    ends = [(i.low, i.high) if (i := rows[y][2]) else (v, v) for y, v in zip(chosen, values, strict=True)]
    figure.add_bar(
        x=values,
        y=list(chosen),
        orientation="h",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - v) for v, (_, high) in zip(values, ends, strict=True)],
            "arrayminus": [max(0.0, v - low) for v, (low, _) in zip(values, ends, strict=True)],
            "thickness": 1.5,
            "width": 3,
            "color": palette.INK[theme],
        },
        marker={
            "color": colour,
            "line": {"width": 1, "color": palette.PAPER[theme]},
            "pattern": {"shape": shape, **_HATCH},
        },
        customdata=[rows[y][3] for y in chosen],
        hovertemplate="%{customdata}<extra></extra>",
        name={"string": "the string", "control": "unrelated strings"}.get(name, name),
    )


def _numbers(rate: Rate, interval: Interval | None) -> dict[str, float | int | None]:
    return {
        "n_hits": rate.n_hits,
        "n": rate.n,
        "rate": rate.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _name(n: Neighbour) -> str:
    return f"Unrelated: {visible(n.title, 60).lower()}" if n.is_control else visible(n.title, 60)


def _own_hover(found: Neighbourhood) -> str:
    return f"the string itself<br>{rate_sentence(found.exact)}"


def _hover(n: Neighbour) -> str:
    best = n.look_alikes[0]
    lines = (
        html.escape(_name(n)),
        f"{n.n_flipping} of {n.n_variants} still flip: {rate_sentence(n.rate, n.interval)}",
        f"most: {html.escape(visible(best.text, 80))}",
        f"{best.rate.n_hits} of {best.rate.n}, margin moves {signed(known(best.shift))} logits",
    )
    return "<br>".join(lines)


def _title(found: Neighbourhood) -> str:
    alive, asked = found.counts(controls=False)
    loud, controls = found.counts(controls=True)
    first = f"{alive} of {asked} look-alikes still flip at least half of {found.exact.n} search prompts"
    return f"{first}<br>{loud} of {controls} unrelated strings do" if controls else first
