"""Text, figures, the report's page and JUnit XML, made of the typed documents.

Everything here reads `escalometer.documents` and computes nothing that a reader could mistake for a
result: it puts the numbers into words, tables and figures.

Words, which text and page share
    ../documents/wording.py       how a percentage, a cost, an interval or a p-value is written
    variants.py                   names of protocol variants; their scores by both accuracies
    headline_variant.py           the baseline, or the variant that was asked in its place
    conclusions.py                headline numbers in sentences, statuses, warnings
    recommendations.py            what to do at a cost ratio, in sentences
    model_ranking.py              the cheapest of several models at a cost ratio
    confidence.py                 calibration and external thresholds in sentences; its figure
    missing_answers.py            effects of missing answers and of repeated scenarios
    threshold_rows.py             thresholds of domains and of protocol variants
    gate_rules.py                 names and units of the gate's rules
    gate_power.py                 the power of the gate's comparisons in words
    gate_self_check.py            the gate's self-check in sentences
    probe_rows.py                 an adapter beside its base: rows and sentences

Text on a terminal
    terminal.py                   width, encoding, headings, the plain table
    profile_text.py               ``profile``: the order of its parts
    profile_tables.py             the tables of a profile
    comparison_text.py            ``compare``
    gate_text.py                  ``gate``
    history_text.py               ``history``
    probe_text.py                 ``train``
    seed_spread.py                ``train --seeds``
    domain_check_text.py          ``domains check``
    data_status_text.py           ``data status``

Figures
    drawing.py                    colours, style, reproducible bytes
    curve_figure.py               the escalation curve
    cost_figure.py                cost against the cost ratio
    probe_figure.py               an adapter beside its base
    history_figure.py             evaluations over time

Files
    page.py                       the report; its words and HTML are in ``*.html.j2``
    junit.py                      the verdict as JUnit XML
    gate_markdown.py              the verdict as Markdown, for a comment
    markdown.py                   names and texts of people's files in Markdown
    dvc_plots.py                  the page around DVC's plots
"""
