"""What a study compared and how far it is; what it took, on which machine, and how to run it again."""

import shlex

from fewscan.experiments.kept import CELL_LIST
from fewscan.experiments.state import State
from fewscan.experiments.study import MethodEntry
from fewscan.experiments.tables import Table
from fewscan.metrics.text_table import listed
from fewscan.report.document.content import Block, Code, Facts, Fold, Note, Text
from fewscan.report.document.words import duration, memory, plain
from fewscan.report.found.study_cells import FoundStudy
from fewscan.report.sections.machine import machine_blocks as machine_of
from fewscan.report.sections.machine import version_blocks, versions_of
from fewscan.report.sections.training import scan_blocks, settings_facts, training_blocks

MARKS = {State.FINISHED: "finished", State.STARTED: "begun", State.WAITING: "waiting", State.FAILED: "FAILED"}


def setup_blocks(found: FoundStudy) -> list[Block]:
    """Return the methods, the data and what all trainings share; one training in full."""
    study = found.study
    rows = tuple(
        (entry.label, entry.method, entry.preset or ", ".join(study.presets), entry.predictor or "its own", _own(entry))
        for entry in study.methods
    )
    table = Table("Methods", ("line", "method", "preset", "predictor", "settings of its own"), rows, text_columns=5)
    baseline = study.entry(study.baseline).label
    tests = len(found.outputs.results[0].cell.split.test) if found.outputs.results else 0
    facts = [
        ("data", study.data),
        ("labelled scans", plain(study.labelled)),
        ("seeds", plain(study.seeds)),
        ("validation", plain(study.validation)),
        ("test scans", str(tests) if tests else "not known before the first cell is finished"),
        ("weights that predict", "last checkpoint" if study.checkpoint == "last" else "best on validation"),
        ("baseline", baseline),
        ("upper bound with all labels", plain(study.upper_bound)),
        *((name, _short(value)) for name, value in study.settings.items()),
        *((f"plan: {name}", plain(value)) for name, value in study.planning.items()),
    ]
    blocks: list[Block] = [table, Facts(tuple(facts))]
    if found.outputs.results:
        cell = found.outputs.results[0].cell
        run = found.run(cell)
        inside = settings_facts(cell.settings) + scan_blocks(cell.split, cell.settings)
        which = f"{found.outputs.maker.title(cell.row)}, {cell.row.labelled.title} labelled, seed {cell.seed}"
        blocks.append(Fold(f"One training in full: {which}", tuple(inside if run is None else training_blocks(run))))
    return blocks


def _own(entry: MethodEntry) -> str:
    return listed([f"{name}: {_short(value)}" for name, value in entry.settings.items()], limit=20) or "none"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    return plain(value)


def standing_blocks(found: FoundStudy) -> list[Block]:
    """Return where every cell stands, and why cells failed."""
    seeds = sorted({cell.seed for cell in found.cells})
    states = {(cell.row, cell.seed): found.states[cell.name] for cell in found.cells}
    rows = tuple(
        (
            found.outputs.maker.title(row),
            row.labelled.title,
            *(MARKS[states[row, seed]] if (row, seed) in states else "–" for seed in seeds),
        )
        for row in dict.fromkeys(cell.row for cell in sorted(found.cells, key=lambda cell: cell.row.labelled))
    )
    head = ("method", "labelled", *(f"seed {seed}" for seed in seeds))
    notes = ("begun: interrupted, or at work now; waiting: not begun. The same command continues.",)
    blocks: list[Block] = [
        Note(f"{name} FAILED: {' '.join(text.split())}", "warning") for name, text in found.failures.items()
    ]
    blocks.append(Table("", head, rows, notes if not found.finished else (), text_columns=2 + len(seeds)))
    if found.left_over and not found.problem:
        blocks.append(Note(f"Kept from an earlier form of this study, and not counted: {listed(found.left_over)}"))
    return blocks


def machine_blocks(found: FoundStudy) -> list[Block]:
    """Return what every method took, and the machine of the first finished cell."""
    results = found.outputs.results
    if not results:
        return [Note("No cell is finished yet.")]
    rows = []
    for line in found.outputs.lines:
        if line.results:
            per_scan = [float(r.record.get("prediction_seconds_per_scan", float("nan"))) for r in line.results]
            numbers = (
                duration(line.training_seconds),
                memory(line.peak_memory_mib),
                duration(sum(per_scan) / len(per_scan)),
            )
            rows.append((found.outputs.maker.title(line.row), line.row.labelled.title, *numbers))
    head = ("method", "labelled", "training, mean", "peak memory", "prediction per scan")
    total = sum(float(result.record.get("training_seconds", 0.0)) for result in results if not result.cell.trained_in)
    table = Table("", head, tuple(rows), (f"All finished trainings in sum: {duration(total)}.",), text_columns=2)
    own = next((result for result in results if not result.cell.trained_in), results[0])
    return [table, *machine_of(found.place(own.cell))]


def _where(found: FoundStudy) -> str:
    if (found.folder / CELL_LIST).is_file():
        return f"{CELL_LIST} holds every cell's settings and scans"
    return "every cell's run holds its settings.yaml, split.json and environment.json"


def reproduce_blocks(found: FoundStudy) -> list[Block]:
    """Return command, seeds and versions; and how to run one cell alone."""
    words = ["fewscan", "compare", str(found.folder / "study.yaml"), "--out", "NEW_STUDY"]
    blocks: list[Block] = [
        Code(shlex.join(words)),
        Text(
            f"The study file names data, methods, counts, seeds and settings; {_where(found)}. On the CPU the same "
            "version and seed give the same weights, bit for bit, on the same kind of processor."
        ),
    ]
    versions: dict[str, set[str]] = {}
    for result in found.outputs.results:
        for name, value in versions_of(found.place(result.cell)).items():
            versions.setdefault(name, set()).add(plain(value))
    shown = {name: ", ".join(sorted(values)) for name, values in versions.items()}
    if any(len(values) > 1 for values in versions.values()):
        blocks.append(Note("The cells were not all trained with the same versions.", "warning"))
    names = [cell.name for cell in found.cells]
    return [*blocks, *version_blocks(shown), Fold("Names of all cells", (Code("\n".join(names)),))]
