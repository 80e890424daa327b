"""A run: a folder that holds a training from its settings to its model.

settings.yaml  plan.yaml  split.json  environment.json  run.json   what was asked, and on what
log.jsonl  curves.png                                              what happened
checkpoints/                                                       where to resume
model.safetensors  model_best.safetensors                          what predicts: last, and best on validation
store/                                                             prepared scans, unless kept elsewhere
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewscan.data.draw import Choice
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedStore
from fewscan.data.split import Split
from fewscan.errors import DataError, FewscanError, UsageError
from fewscan.files import write_json
from fewscan.progress import say
from fewscan.training.data import TrainingData, is_store
from fewscan.training.device import resolve_device
from fewscan.training.first_process import first_process, locked_by_first
from fewscan.training.settings import TrainSettings
from fewscan.training.wishes import method_for, read_config, require_empty, settings_of, wishes_of

DECISIONS = ("settings.yaml", "run.json", "split.json", "plan.yaml")
"""Where it is written down what a run is to be, before any scan is prepared."""


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run on disk."""

    folder: Path

    @property
    def settings(self) -> TrainSettings:
        """The resolved settings."""
        return TrainSettings.read(self.folder / "settings.yaml")

    @property
    def plan(self) -> Plan:
        """The plan the model was trained with."""
        return Plan.read(self.folder / "plan.yaml")

    @property
    def split(self) -> Split:
        """Which cases were used for what."""
        return Split.parse(json.loads((self.folder / "split.json").read_text(encoding="utf-8")), source="split.json")

    @property
    def summary(self) -> dict[str, Any]:
        """The content of ``run.json``: state, seconds, samples, memory, best validation."""
        path = self.folder / "run.json"
        if not path.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: not readable as JSON: {error}", mend="restore the file, or train anew") from None
        return found

    @property
    def finished(self) -> bool:
        """Whether training reached its last step."""
        return self.summary.get("state") == "finished"

    def _repr_html_(self) -> str:
        from fewscan.training.run_html import run_html

        return run_html(self)


def train(
    data: Path | str,
    out: Path | str,
    *,
    method: str | None = None,
    preset: str | None = None,
    labelled: Choice | None = None,
    validation: Choice | None = 0,
    test: Choice | None = None,
    seed: int | None = None,
    iterations: int | None = None,
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
    planning: dict[str, Any] | None = None,
    store: Path | str | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    workers: int = 1,
    resume: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a model and leave everything about it in the folder ``out``.

    Parameters
    ----------
    data : path
        A data set in any layout, or a prepared store.
    out : path
        The run folder; must be new or empty unless ``resume``.
    method, preset : str, optional
        See ``fewscan methods``; unless told, what suits the data (`fewscan.training.default_method`) and "recommended".
    labelled, validation, test : int, float, list of ids, or None
        How many cases to use as what; see `fewscan.data.split.make_split`.
    seed : int, optional
        Of the drawn subset and of everything random in training.
    iterations : int, optional
        Short for ``settings={"iterations": ...}``.
    config : path, optional
        YAML file of `TrainSettings`.
    settings : mapping, optional
        Single settings by dotted key, stronger than the file.
    plan, planning
        A plan to use, or wishes for the plan derived from the data.
    store : path, optional
        Where prepared scans are kept; ``out/store`` unless told.
    device : str
        "auto", "cpu" or "cuda".
    devices, nodes : int
        Data-parallel processes per node, and nodes.
    workers : int
        Processes that prepare scans. More than one needs the ``if __name__ == "__main__":`` guard in a script.
    resume : bool
        Continue an interrupted run with its own settings, split and plan; other wishes than those it was started with
        are refused.
    quiet : bool
        Print no progress.

    Raises
    ------
    UsageError, DataError, InterruptedRunError
        See `fewscan.errors`.
    """
    from fewscan.methods.recipe import Recipe
    from fewscan.methods.registry import trainable_class
    from fewscan.networks.precision import resolve_precision
    from fewscan.training.fabric import make_fabric
    from fewscan.training.start import start_training

    data, out = Path(data), Path(out)
    if not data.exists():
        raise UsageError(f"{data}: no such folder or file")
    single = dict(settings or {})
    single |= {key: value for key, value in (("iterations", iterations), ("seed", seed)) if value is not None}
    read = read_config(config)
    if not resume:
        require_empty(out)
    parts = {"labelled": labelled, "validation": validation, "test": test}
    with _says_how_to_go_on(data, out):
        chosen = None if resume or method else method_for(data, parts, preset, read, single)
    start = {"method": method if chosen is None else chosen.method, "preset": preset}
    resolved = settings_of(out, start, read, single, resume=resume)
    run = Run(out)
    wishes = parts | {"plan": plan, "planning": planning or None}
    asked = wishes_of(out, run.summary, data, wishes)
    if resume and run.finished:
        if not quiet:
            say(f"{out}: finished already, nothing is left to train")
        return run
    where = resolve_device(device)
    fabric = make_fabric(where, resolve_precision(resolved.precision, where), devices=devices, nodes=nodes)
    with locked_by_first(out, fabric):
        with first_process(out, fabric) as is_first:
            if is_first:
                if chosen is not None and not quiet:
                    say(f"method: {chosen.method}, as {chosen.reason} (--method takes another)")
                with _says_how_to_go_on(data, out):
                    source = TrainingData(data, workers=workers, quiet=quiet)
                    _prepare(run, source, resolved, asked, store)
        prepared = PreparedStore(_place(run, data))
        trainable = trainable_class(resolved.method)
        if issubclass(trainable, Recipe):
            trainable.train(run, prepared, resolved, fabric, quiet=quiet)
        else:
            start_training(run, prepared, run.split, run.plan, resolved, fabric, quiet=quiet)
    return run


def _prepare(
    run: Run, data: TrainingData, settings: TrainSettings, asked: Mapping[str, Any], store: Path | str | None
) -> None:
    """Decide on the run and write that down, then prepare the scans.

    Whatever an interrupted run wrote already is kept, so that it continues with the same decisions.
    """
    from fewscan.data.same_plan import require_same_plan
    from fewscan.methods.registry import trainable_class
    from fewscan.training.same_scans import require_same_scans
    from fewscan.training.whole_scans import whole_scan_plan

    if store is not None and data.store is not None:
        raise UsageError(f"{data.store.path}: is a prepared store already", mend="Leave --store out.")
    with _withdrawn_if_refused(run.folder):
        split = _decide(run, data, settings, asked, store)
        if data.store is None:
            require_same_plan(_place(run, data.path), run.plan, arrays_only=True)
    prepared = data.prepare(split, run.plan, _place(run, data.path))
    require_same_scans(run.folder, prepared, split)
    if trainable_class(settings.method).whole_scans:  # only the prepared scans tell how large they are
        whole_scan_plan(run.plan, prepared, split).write(run.folder / "plan.yaml")


def _decide(
    run: Run, data: TrainingData, settings: TrainSettings, asked: Mapping[str, Any], store: Path | str | None
) -> Split:
    """Write down settings, wishes, split and plan, each before the next is made; return the split.

    Only the split is drawn before anything is written: the plan takes a look at every scan, and a run that is stopped
    meanwhile must be one that can be resumed.
    """
    from fewscan.methods.registry import trainable_class
    from fewscan.training.start import fitted_plan

    folder, needs_labels = run.folder, trainable_class(settings.method).needs_labels
    if (folder / "split.json").is_file():
        split = run.split
    else:
        parts = {key: asked[key] for key in ("labelled", "validation", "test")}
        split = data.split(**parts, seed=settings.seed, needs_labels=needs_labels)
        for note in () if data.quiet else split.notes:
            say(f"note: {note}")
    if not (folder / "settings.yaml").is_file():
        settings.write(folder / "settings.yaml")
    record = run.summary | {"state": "started", "data": str(data.path.resolve()), "asked": asked}
    if store is not None:  # one inside the run folder is not written down, so that the folder can be moved
        record["store"] = str(Path(store).resolve())
    write_json(folder / "run.json", record)
    if not (folder / "split.json").is_file():
        write_json(folder / "split.json", split.model_dump(mode="json"))
    if not (folder / "plan.yaml").is_file():
        chosen = None if asked["plan"] is None else Plan.parse(asked["plan"], source="plan")
        plan = data.plan(split, chosen, asked["planning"], needs_labels=needs_labels)
        fitted_plan(plan, settings, split).write(folder / "plan.yaml")
    return split


@contextmanager
def _withdrawn_if_refused(folder: Path) -> Iterator[None]:
    """Take back what the block writes when it refuses the wishes, so that the corrected command finds no half run."""
    before = {name for name in DECISIONS if (folder / name).is_file()}
    try:
        yield
    except FewscanError:
        for name in DECISIONS:
            if name not in before:
                (folder / name).unlink(missing_ok=True)
        raise


@contextmanager
def _says_how_to_go_on(data: Path, out: Path) -> Iterator[None]:
    """Add to what the block finds wrong with the data where all of it is listed, and which command goes on then."""
    try:
        yield
    except DataError as error:
        lines = [error.mend] if error.mend else []
        if not is_store(data):
            lines.append(f"`fewscan check {data}` lists every problem of every case")
        if (out / "settings.yaml").is_file():
            lines.append(
                f"when the files are mended, the same command with --resume continues {out}; to leave cases out, "
                "start anew with another --out"
            )
        else:
            lines.append(f"then repeat the same command; nothing was left in {out}")
        error.mend = "\n  ".join(lines)
        raise


def store_of(run: Run) -> PreparedStore:
    """Return the prepared scans that a run was trained on.

    Raises
    ------
    DataError
        If they are no longer there.
    """
    return PreparedStore(_place(run, Path(run.summary["data"])))


def _place(run: Run, data: Path) -> Path:
    """Return where the prepared scans of the run are."""
    return data if is_store(data) else Path(run.summary.get("store", run.folder / "store"))
