from math import inf, nan

from fewscan.experiments.tables import Table, escape_latex, number, p_value, to_latex, to_markdown, to_text

TABLE = Table(
    "Dice & co", ("method", "Dice %"), (("mean_teacher", "81.5 ± 0.3"), ("a|b", "∞")), ("p < 0.05",), text_columns=1
)


def test_numbers_and_what_is_none():
    assert [number(value) for value in (nan, None, inf, -inf, 0.1234)] == ["–", "–", "∞", "−∞", "0.123"]
    assert number(0.5, 1, sign=True) == "+0.5"
    assert [p_value(p) for p in (0.0001, 0.04, nan)] == ["< 0.001", "0.040", "–"]


def test_markdown():
    assert to_markdown(TABLE) == (
        "### Dice & co\n"
        "\n"
        "| method       |     Dice % |\n"
        "| ------------ | ---------: |\n"
        "| mean_teacher | 81.5 ± 0.3 |\n"
        "| a\\|b         |          ∞ |\n"
        "\n"
        "- p < 0.05\n"
    )


def test_text_for_a_terminal():
    assert to_text(TABLE, width=40) == (
        "Dice & co\n\nmethod            Dice %\nmean_teacher  81.5 ± 0.3\na|b                    ∞\n\n- p < 0.05"
    )


def test_latex():
    text = to_latex(TABLE)
    assert r"\caption{Dice \& co}" in text
    assert r"\begin{tabular}{lr}" in text
    assert r"mean\_teacher & 81.5 $\pm$ 0.3 \\" in text
    assert r"a|b & $\infty$ \\" in text
    assert r"\footnotesize p $<$ 0.05\par" in text


def test_latex_special_characters():
    assert escape_latex(r"50% of $x_1^2 {\#~") == (
        r"50\% of \$x\_1\textasciicircum{}2 \{\textbackslash{}\#\textasciitilde{}"
    )
