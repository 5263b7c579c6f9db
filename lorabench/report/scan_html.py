"""A scan as one page to mail: verdict first, then what stands behind it, readable without scripts."""

from __future__ import annotations

from lorabench.figures import interval_text, rate_text, signed, visible
from lorabench.report.markup import esc, paragraph, section, table
from lorabench.report.scan_facts import FindingFacts, ScanFacts, scan_facts, stage_coverage
from lorabench.report.scan_numbers import TITLES, number, percent
from lorabench.report.scan_page import badge, bullets, icon, scan_page, tone
from lorabench.report.scan_pictures import Cell, html_cell, range_bar, rich_table, row_head, td, weight_heat
from lorabench.results.findings import StageReport
from lorabench.results.scans import ScanResult

_CLAIM_LIMIT = 1000


def scan_html(scan: ScanResult) -> str:
    """Return one scan as a page in light and dark; a table stands beside every picture."""
    facts = scan_facts(scan)
    sections = [
        _verdict(facts),
        _numbers(facts),
        section("Why", bullets(facts.reasons), _agreement(facts)),
        section("What would change it", bullets(facts.changes)),
        section("Five stages", _stages(facts)),
        section("Findings", *_findings(facts)),
    ]
    if facts.statistics:
        sections.append(section("Rates over the battery", _statistics(facts)))
    if facts.probes:
        sections.append(section("Probes", _probes(facts)))
    if scan.behaviour is not None and scan.behaviour.anchors:
        sections.append(section("Words that carry it", _anchors(scan)))
    if scan.weights is not None and scan.weights.modules:
        sections.append(section("Weights", weight_heat(scan.weights), _aggregates(scan)))
    sections += [
        section("What was and was not looked at", _coverage(facts)),
        section("Calibration", bullets(facts.calibration)),
        section("Files", _files(scan), *_claims(facts)),
        section("Limits", bullets(facts.limits)),
        section("How to repeat it", _reproduce(facts)),
    ]
    title = f"{facts.decision.capitalize()}: {visible(facts.name, 80)}"
    return scan_page(title, facts.created, sections)


def _verdict(facts: ScanFacts) -> str:
    return (
        f'<section class="verdict is-{facts.decision}">{icon(facts.decision)}<div>'
        f"<h1>{esc(visible(facts.name, 120))}</h1>\n"
        f'<p class="word">{facts.decision.upper()}</p>\n{paragraph(facts.headline, "lead")}\n'
        f"{paragraph(facts.confidence)}\n"
        f'<p class="mono muted">sha256 {esc(visible(facts.subject, 80))}</p></div></section>'
    )


def _numbers(facts: ScanFacts) -> str:
    cards = "".join(
        f'<div class="card"><p class="muted">{esc(n.label)}</p><p class="big">{esc(n.value)}</p>'
        f"{paragraph(n.detail, 'muted')}</div>"
        for n in facts.key_numbers
    )
    return f'<div class="numbers">{cards}</div>'


def _agreement(facts: ScanFacts) -> str:
    return paragraph(f"Agreement of the stages: {facts.agreement}") if facts.agreement else ""


def _stages(facts: ScanFacts) -> str:
    def row(name: str, cells: list[Cell]) -> list[Cell]:
        return [row_head(name), *cells]

    stages = facts.stages
    rows = [
        row("status", [td(s.status) for s in stages]),
        row("level", [html_cell(badge(s.level)) if s.level else td("none") for s in stages]),
        row("covered", [td(stage_coverage(s)) for s in stages]),
        row("findings", [td(len(s.findings)) for s in stages]),
        row("summary", [td(visible(s.summary, 600)) for s in stages]),
        row("seconds", [td(_seconds(s)) for s in stages]),
    ]
    heads = ["", *(TITLES[s.stage] for s in stages)]
    return rich_table(heads, rows, caption="What each kind of evidence says", css="stages")


def _seconds(stage: StageReport) -> str:
    return "-" if stage.status == "not run" else f"{stage.seconds:.1f}"


def _findings(facts: ScanFacts) -> list[str]:
    if not facts.findings:
        return [paragraph("No finding in the stages that ran.", "muted")]
    return [_finding(f) for f in facts.findings]


def _finding(found: FindingFacts) -> str:
    finding, rule = found.finding, found.rule
    where = f'<p class="mono">{esc(visible(finding.where, 400))}</p>' if finding.where else ""
    told = [f"{f.name}: {visible(f.value, 1000)}" for f in finding.facts]
    ids = ", ".join((*rule.cwe, *rule.owasp, *rule.atlas))
    change = paragraph(f"Would change it: {finding.changes}", "muted") if finding.changes else ""
    return (
        f'<div class="card finding {tone(finding.level)}"><h3>{badge(finding.level)} {esc(rule.title)} '
        f'<span class="mono muted">{esc(visible(finding.rule, 120))}</span></h3>'
        f"{where}{paragraph(visible(finding.sentence, 4000))}"
        f"{paragraph(found.numbers_text) if found.numbers else ''}{bullets(told) if told else ''}{change}"
        f"{paragraph(f'Stands for: {ids}', 'muted') if ids else ''}</div>"
    )


def _statistics(facts: ScanFacts) -> str:
    rows = [
        [
            td(s.name, "text"),
            td(s.battery, "text"),
            html_cell(range_bar(s.value, s.interval)),
            td(number(s.value), "n"),
            td(interval_text(s.interval), "n"),
            td(s.n_probes, "n"),
        ]
        for s in facts.statistics
    ]
    how = next((s.interval for s in facts.statistics if s.interval is not None), None)
    method = "" if how is None else f"; intervals: {percent(how.confidence_level)}, {how.method}"
    heads = ["statistic", "over", "0 to 1", "value", "interval", "probes"]
    return rich_table(heads, rows, caption=f"Over the battery, its parts and its categories{method}")


def _probes(facts: ScanFacts) -> str:
    rows = [
        [
            td(visible(p.text, 300), "text"),
            td(p.category),
            html_cell(range_bar(p.rate.value, p.rate.interval())),
            td(rate_text(p.rate.value), "n"),
            td(interval_text(p.rate.interval()), "n"),
            td(f"{p.rate.n_hits} of {p.rate.n}", "n"),
            td(signed(p.mean_shift), "n"),
            td(signed(p.base_shift), "n"),
            td(signed(p.shift_difference), "n"),
            td(p.n_ties, "n"),
        ]
        for p in facts.probes
    ]
    heads = [
        "probe",
        "category",
        "0 to 1",
        "rate",
        "interval",
        "flipped",
        "shift",
        "base",
        "difference",
        "ties",
    ]
    caption = (
        "Attack rate of each probe over prompts not answered with the target before, strongest first; "
        "intervals: 95 %, Wilson over prompts; shifts of the margin in logits"
    )
    return rich_table(heads, rows, caption=caption)


def _anchors(scan: ScanResult) -> str:
    anchors = scan.behaviour.anchors if scan.behaviour else ()
    rows = [
        [
            td(visible(a.word, 80), "text"),
            td(f"{rate_text(a.rate_with)} (n = {a.n_with})", "n"),
            td(f"{rate_text(a.rate_without)} (n = {a.n_without})", "n"),
            td(signed(a.difference, 2), "n"),
            td(interval_text(a.interval), "n"),
        ]
        for a in anchors
    ]
    heads = ["word", "rate with it", "rate without it", "difference", "interval"]
    return rich_table(heads, rows, caption="Mean attack rate of probes with a word, and of the others")


def _aggregates(scan: ScanResult) -> str:
    if scan.weights is None:
        return ""
    rows = [
        [td(name, "text"), td(number(value), "n")] for name, value in sorted(scan.weights.aggregates.items())
    ]
    return rich_table(["aggregate", "value"], rows, caption="Over all modules, on the scaled change")


def _coverage(facts: ScanFacts) -> str:
    gaps = (
        bullets(facts.gaps) if facts.gaps else paragraph("Every stage looked at all it should have.", "muted")
    )
    return f"<h3>Not looked at</h3>{gaps}<h3>Looked at</h3>{bullets(facts.coverage)}"


def _files(scan: ScanResult) -> str:
    rows = [
        [
            td(visible(f.name, 200), "text"),
            td(f.kind),
            td("unknown" if f.n_bytes is None else f"{f.n_bytes:,}", "n"),
            td(f.sha256 or "never opened", "mono"),
        ]
        for f in scan.file.files
    ]
    return rich_table(["file", "kind", "bytes", "sha256"], rows, caption="Everything in the folder")


def _claims(facts: ScanFacts) -> list[str]:
    if not facts.claims:
        return []
    rows = [(k, visible(v, _CLAIM_LIMIT)) for k, v in facts.claims]
    return [table(("claim", "text"), rows, caption="What the adapter says about itself; no evidence")]


def _reproduce(facts: ScanFacts) -> str:
    command, rest = facts.reproduce[0][1], facts.reproduce[1:]
    rows = [[td(k, "text"), td(visible(v, 400), "mono")] for k, v in rest]
    return f"<p><code>{esc(visible(command, 600))}</code></p>" + rich_table(
        ["what", "value"], rows, caption="Seed, versions, digests, device and number type"
    )
