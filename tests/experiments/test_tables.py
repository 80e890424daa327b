from fewscan.experiments.tables import Table, escape_latex, to_latex, to_markdown

TABLE = Table(
    "Dice & co", ("method", "Dice %"), (("mean_teacher", "81.5 ± 0.3"), ("a|b", "∞")), ("p < 0.05",), text_columns=1
)


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
