"""How results show themselves in Jupyter: a heading, a table, and where things are; everything is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

_RIGHT, _LEFT = ' style="text-align: right"', ' style="text-align: left"'


def html_result(title: str, *tables: str, notes: Iterable[str] = (), places: Mapping[str, Path | str]) -> str:
    """Return what ``_repr_html_`` shows.

    Parameters
    ----------
    title : str
        What it is, in a line.
    *tables : str
        Made by `html_table`.
    notes : iterable of str
        Below the tables.
    places : mapping of str to path
        Where things are, by what they are.
    """
    parts = [f"<p><b>{escape(title)}</b></p>", *tables]
    parts += [f"<p>{escape(note)}</p>" for note in notes]
    if places:
        lines = [f"{escape(what)}: <code>{escape(str(place))}</code>" for what, place in places.items()]
        parts.append(f"<p>{'<br>'.join(lines)}</p>")
    return f"<div>{''.join(parts)}</div>"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1, caption: str = "") -> str:
    """Return a table of cells; all but the first ``text_columns`` hold numbers and are aligned to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        marked = enumerate(map(escape, cells))
        inner = "".join(f"<{tag}{_LEFT if k < text_columns else _RIGHT}>{cell}</{tag}>" for k, cell in marked)
        return f"<tr>{inner}</tr>"

    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table>{title}{top}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def html_facts(facts: Mapping[str, object]) -> str:
    """Return a table of two columns without a head; what is None or empty is left out."""
    rows = [(name, str(value)) for name, value in facts.items() if value is not None and value not in ("", [], {})]
    return html_table((), rows, text_columns=2)
