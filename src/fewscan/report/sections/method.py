"""The method of a training: its source in full, its equations, and what this training did otherwise."""

from collections.abc import Mapping
from typing import Any

from fewscan.experiments.tables import Table
from fewscan.methods.base import Trainable
from fewscan.methods.departures import Departure, departures, flat, published_values
from fewscan.methods.founding_papers import papers_named_in
from fewscan.report.document.content import Block, Code, Facts, Fold, Text
from fewscan.report.document.words import plain
from fewscan.training.settings import TrainSettings

AS_PUBLISHED = "All hyper-parameters of this training have their published values."


def method_blocks(settings: TrainSettings, method: type[Trainable]) -> list[Block]:
    """Return what the method is, behind a line that opens it; before it, where the training departs from it."""
    values = settings.hyper.model_dump() if hasattr(settings.hyper, "model_dump") else dict(settings.hyper)
    changed = departures(method, values)
    table = _hyper_parameters(flat(values), method)
    papers = papers_named_in(" ".join([method.paper, *(row[-1] for row in table.rows)]))
    inside: list[Block] = [Text(f"Source: {method.paper}")]
    if papers:
        inside.append(Facts(tuple((name.capitalize(), full) for name, full in papers.items())))
    inside.append(Code(method.equations.strip(), "As published"))
    inside.append(Text(departures_text(changed)))
    return [Fold("The method: its source, equations and hyper-parameters", (*inside, table))]


def departures_text(changed: list[Departure]) -> str:
    """Return in words which hyper-parameters differ from the published method."""
    if not changed:
        return AS_PUBLISHED
    each = (f"{name} = {plain(value)} (published: {plain(published)})" for name, value, published in changed)
    return f"This training differs from the published method in: {', '.join(each)}."


def _hyper_parameters(values: Mapping[str, Any], method: type[Trainable]) -> Table:
    published, fields = published_values(method), method.hyper_parameters.model_fields
    rows = tuple(
        (name, plain(value), plain(published[name]) if name in published else "not known", _source(fields, name))
        for name, value in values.items()
    )
    return Table("Hyper-parameters", ("name", "value", "published", "source"), rows, text_columns=4)


def _source(fields: Mapping[str, Any], name: str) -> str:
    """Return the description of a setting; that of the outermost one for a setting inside of others."""
    field: Any = None
    for part in name.split("."):
        field = fields.get(part)
        fields = getattr(getattr(field, "annotation", None), "model_fields", {})
    return (field.description or "") if field is not None else ""
