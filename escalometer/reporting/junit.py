"""The gate's verdict as JUnit XML, which every CI system shows: one test case a rule."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from escalometer.documents import Verdict
from escalometer.documents.wording import visible
from escalometer.reporting.gate_power import power_words
from escalometer.reporting.gate_self_check import self_check_words

_SUITE = "escalometer gate"


def junit_xml(verdict: Verdict) -> str:
    """Return a verdict as JUnit XML.

    A failed rule is a ``failure``. An inconclusive one is ``skipped``, with its reason: it is not
    known to be broken, and must not look as if it held. ``error`` is kept for what is neither, see
    `junit_error`.
    """
    rules = verdict.rules
    outcomes = Counter(rule.verdict for rule in rules)
    suites, suite = _suite(len(rules), outcomes["fail"], 0, outcomes["inconclusive"])
    if verdict.judged_at:
        suite.set("timestamp", verdict.judged_at.removesuffix("+00:00"))
    properties = ET.SubElement(suite, "properties")
    for name in ("verdict", "model", "against", "source", "cost_ratio", "version"):
        _property(properties, name, getattr(verdict, name))
    if verdict.self_check is not None:
        _property(properties, "self_check", " ".join(self_check_words(verdict.self_check)))
    for model, names in verdict.resolved_models.items():
        _property(properties, f"resolved_models.{model}", ", ".join(names))
    for path, digest in verdict.files.items():
        _property(properties, f"file.{path}", digest)
    for rule in rules:
        if rule.power is not None:
            _property(properties, f"power.{rule.rule}", power_words(rule, rule.power))
    for rule in rules:
        case = _case(suite, verdict.model, rule.rule)
        message = visible(rule.reason)
        if rule.verdict == "fail":
            ET.SubElement(case, "failure", message=message, type="fail").text = message
        elif rule.verdict == "inconclusive":
            ET.SubElement(case, "skipped", message=f"inconclusive: {message}")
        else:
            ET.SubElement(case, "system-out").text = message
    return _xml(suites)


def junit_error(model: str, error: BaseException) -> str:
    """Return JUnit XML that says that there is no verdict, since something else went wrong."""
    suites, suite = _suite(1, 0, 1, 0)
    case = _case(suite, model, "gate")
    message = visible(f"no verdict: {error}")
    ET.SubElement(case, "error", message=message, type=type(error).__name__).text = message
    return _xml(suites)


def _suite(tests: int, failures: int, errors: int, skipped: int) -> tuple[ET.Element, ET.Element]:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    attributes = {"name": _SUITE} | {name: str(n) for name, n in counts.items()}
    suites = ET.Element("testsuites", {**attributes, "time": "0"})
    return suites, ET.SubElement(suites, "testsuite", {**attributes, "time": "0"})


def _case(suite: ET.Element, model: str, name: str) -> ET.Element:
    # A dot would start another level in what some systems show; the model's name is one.
    classname = f"escalometer.gate.{visible(model).replace('.', '_')}"
    return ET.SubElement(
        suite, "testcase", {"classname": classname, "name": visible(name), "time": "0"}
    )


def _property(properties: ET.Element, name: str, value: object) -> None:
    if value not in (None, ""):
        ET.SubElement(properties, "property", {"name": visible(name), "value": visible(value)})


def _xml(root: ET.Element) -> str:
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written.decode("utf-8") + "\n"
