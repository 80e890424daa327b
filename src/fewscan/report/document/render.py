"""From a report as data to one HTML page that needs nothing else: no script, no file beside it, nothing from the net.

The page forbids itself to load anything (Content-Security-Policy), and every text is escaped by the template engine.
"""

from functools import cache
from importlib.resources import files
from math import ceil

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fewscan.report.document.content import Report

TEMPLATE, STYLE = "report.html.j2", "report.css"
WIDE_PIXELS = 800
"""Pictures wider than this, which have several panels side by side, are scrolled on a phone; others shrink to fit."""


def render(report: Report, *, made: str, version: str) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
        Its content.
    made : str
        When, for the foot of the page.
    version : str
        Of fewscan.
    """
    style = (files("fewscan.report.document") / "templates" / STYLE).read_text(encoding="utf-8")
    sections = [section for section in report.sections if section.blocks]
    page = _environment().get_template(TEMPLATE)
    # the style sheet is part of the package, not of anything that was reported on
    return page.render(report=report, sections=sections, style=Markup(style), made=made, version=version)  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fewscan.report.document"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["WIDE"] = WIDE_PIXELS
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["columns"] = lambda pictures: len(pictures) if len(pictures) < 6 else ceil(len(pictures) / 2)
    return environment
