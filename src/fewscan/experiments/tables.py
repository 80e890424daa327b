"""A table as plain data, its text as Markdown or LaTeX, and numbers as people read them in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan
from textwrap import fill

MISSING = "–"

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "<": r"$<$",
    ">": r"$>$",
}


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes
    ----------
    title : str
        What it shows.
    head : tuple of str
        Column headings; the first ``text_columns`` are aligned to the left.
    rows : tuple of tuple of str
        Cells.
    notes : tuple of str
        What a reader must know, below the table.
    text_columns : int
        How many columns hold words.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1


def number(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """Return a number with so many decimals; a dash where it does not apply."""
    if value is None or isnan(value):
        return MISSING
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def p_value(p: float) -> str:
    """Return a p-value."""
    return MISSING if isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def to_markdown(table: Table) -> str:
    """Return the table as Markdown, aligned so that it reads well as plain text too."""
    cells = [[_escape_markdown(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(3, *(len(row[k]) for row in cells)) for k in range(len(table.head))]
    rule = ["-" * width if k < table.text_columns else "-" * (width - 1) + ":" for k, width in enumerate(widths)]
    lines = [f"### {table.title}", "", _line(cells[0], widths, table), "| " + " | ".join(rule) + " |"]
    lines += [_line(row, widths, table) for row in cells[1:]]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_text(table: Table, *, width: int) -> str:
    """Return the table for a terminal: aligned columns without rules, and the notes folded to ``width``."""
    rows = (table.head, *table.rows)
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    lines = ["  ".join(_aligned(row, widths, table)).rstrip() for row in rows]
    notes = [fill(note, width, initial_indent="- ", subsequent_indent="  ") for note in table.notes]
    return "\n".join([table.title, "", *lines, *(["", *notes] if notes else [])])


def to_latex(table: Table) -> str:
    """Return the table as a LaTeX float; it needs the package booktabs."""
    columns = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    body = [" & ".join(escape_latex(cell) for cell in row) + r" \\" for row in table.rows]
    notes = [rf"\footnotesize {escape_latex(note)}\par" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(escape_latex(cell) for cell in table.head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Return ``text`` so that LaTeX prints it as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def _escape_markdown(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def _line(cells: Sequence[str], widths: Sequence[int], table: Table) -> str:
    return "| " + " | ".join(_aligned(cells, widths, table)) + " |"


def _aligned(cells: Sequence[str], widths: Sequence[int], table: Table) -> list[str]:
    return [
        cell.ljust(width) if k < table.text_columns else cell.rjust(width)
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
