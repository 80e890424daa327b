"""The result of the check: its JSON form, and its text for people."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewscan.data.check.problem import Problem, Severity, count_text, first_names
from fewscan.data.check.summary import Summary
from fewscan.errors import DataError

FOLD_ABOVE = 5
"""A kind of finding that more cases than this share is shown once, with the cases."""


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """All findings of one data set.

    Attributes
    ----------
    root : Path
        Folder of the data set; files are shown relative to it.
    problems : tuple of Problem
        Errors first, then by case and file.
    case_count : int
        Cases that were checked.
    summary : Summary or None
        None where not even the list of cases could be made.
    """

    root: Path
    problems: tuple[Problem, ...]
    case_count: int
    summary: Summary | None = None

    @property
    def exit_code(self) -> int:
        """Return 3 when there are errors, else 0."""
        return DataError.exit_code if self.count(Severity.ERROR) else 0

    def count(self, severity: Severity) -> int:
        """Return the number of findings of one severity."""
        return sum(problem.severity is severity for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return plain types.

        Keys: ``root``; ``case_count``; ``counts`` with ``error``, ``warning`` and ``note``; ``problems``, a list of
        objects with ``severity``, ``code``, ``case``, ``file``, ``message`` and ``mend``, where "" stands for none;
        ``summary`` (see `Summary`), or null.
        """
        return {
            "root": str(self.root),
            "case_count": self.case_count,
            "counts": {severity.value: self.count(severity) for severity in Severity},
            "problems": [problem.to_json() for problem in self.problems],
            "summary": None if self.summary is None else self.summary.to_json(),
        }

    def to_text(self) -> str:
        """Return the report for people: findings by severity and case, the summary, and the counts in the last line."""
        blocks = []
        for severity in Severity:
            found = [problem for problem in self.problems if problem.severity is severity]
            if found:
                lines = [line for block in self._blocks(found) for line in block]
                blocks.append("\n".join([f"{severity.value.upper()}S", *lines]))
        if self.summary is not None:
            blocks.append(self.summary.to_text())
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        counts = f"{count_text(errors, 'error')}, {count_text(warnings, 'warning')}"
        blocks.append(f"{counts} in {count_text(self.case_count, 'case')}")
        return "\n\n".join(blocks)

    def _blocks(self, problems: Sequence[Problem]) -> Iterable[list[str]]:
        """Give the lines of what concerns the whole data set, then of what many cases share, then case by case."""
        cases_of: dict[str, set[str]] = defaultdict(set)
        for problem in problems:
            cases_of[problem.code].add(problem.case_id)
        shared = [code for code, cases in cases_of.items() if len(cases) > FOLD_ABOVE]
        for code in shared:
            yield self._folded([problem for problem in problems if problem.code == code])
        by_case: dict[str, list[Problem]] = defaultdict(list)
        for problem in problems:
            if problem.code not in shared:
                by_case[problem.case_id].append(problem)
        for case_id, found in sorted(by_case.items()):
            yield self._of_one_case(case_id, found)

    def _folded(self, problems: Sequence[Problem]) -> list[str]:
        cases = list(dict.fromkeys(problem.case_id for problem in problems))
        # whoever must mend the files needs all of the names
        limit = len(cases) if problems[0].severity is Severity.ERROR else FOLD_ABOVE
        title = f"  {len(cases)} cases: {first_names(cases, limit=limit)}"
        example = problems[0]
        return [
            title,
            *_finding(example, f"{self._relative(example.file)}: {example.message}", indent=4, prefix="e.g. "),
        ]

    def _of_one_case(self, case_id: str, problems: Sequence[Problem]) -> list[str]:
        lines = [f"  {case_id or 'data set'}"]
        by_file: dict[str, list[Problem]] = defaultdict(list)
        for problem in problems:
            by_file[problem.file].append(problem)
        for file, found in by_file.items():
            if file:
                lines.append(f"    {self._relative(file)}")
            for problem in found:
                lines += _finding(problem, problem.message, indent=6 if file else 4)
        return lines

    def _relative(self, file: str) -> str:
        path = Path(file)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else file


def _finding(problem: Problem, message: str, *, indent: int, prefix: str = "") -> list[str]:
    margin = " " * indent
    message = message.replace("\n", f"\n{margin}  ")
    lines = [f"{margin}{problem.code}: {prefix}{message}"]
    if problem.mend:
        mend = problem.mend.replace("\n", f"\n{margin}     ")
        lines.append(f"{margin}  -> {mend}")
    return lines
