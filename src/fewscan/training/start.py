"""Assemble a training from its settings and carry it to its model file."""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fewscan.augment.symmetry import mirrored_axes
from fewscan.data.plan import Plan
from fewscan.data.prepared import PreparedCase, PreparedStore
from fewscan.data.sampling import PatchStream, SoftMasks
from fewscan.data.split import Split
from fewscan.data.whole_scan import whole_scan
from fewscan.errors import DataError, UsageError
from fewscan.files import write_json
from fewscan.inference.model_file import ModelSpec, load_model, model_name, save_model
from fewscan.inference.predictor import Predictor
from fewscan.methods.base import Context, Method
from fewscan.methods.recipe import Recipe
from fewscan.methods.registry import method_class, trainable_class
from fewscan.networks.allocator import keep_freed_memory
from fewscan.networks.builder import NetworkBuilder
from fewscan.networks.divisors import divisors_of, fitting_size, rounded_up
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import NetworkSpec, fit_levels, fit_registration_levels
from fewscan.progress import progress, say
from fewscan.registration.predictor import RegistrationPredictor
from fewscan.registration.validation import validate_pairs
from fewscan.seeding import seed_for
from fewscan.training.environment import describe_environment, peak_memory_mib
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.settings import TrainSettings
from fewscan.training.streams import BatchMaker, Streams
from fewscan.training.validation import Validation, validate
from fewscan.training.whole_scans import check_memory, check_plan

if TYPE_CHECKING:
    from fewscan.training.run import Run


def start_training(
    run: "Run",
    store: PreparedStore,
    split: Split,
    plan: Plan,
    settings: TrainSettings,
    fabric: Any,
    *,
    quiet: bool,
    title: str = "training",
    initial: Path | None = None,
    masks: SoftMasks | None = None,
) -> None:
    """Train (or continue) and write model, curves, environment and summary into the run folder.

    Parameters
    ----------
    run, store, split, plan, settings, fabric, quiet
        See `fewscan.training.run`.
    title : str
        Of the progress.
    initial : Path, optional
        Model file whose weights the predicting network starts from; freshly drawn ones unless told.
    masks : callable, optional
        Soft masks of the unlabelled cases, which become ``Batch.unlabelled_masks``.
    """
    keep_freed_memory()
    device, quiet = fabric.device, quiet or not fabric.is_global_zero
    dtype = resolve_precision(settings.precision, device)
    layout = best_layout(plan.dimensions, device, dtype)
    method = build_method(settings, plan)
    seen: set[str] = set()
    if initial is not None:
        network, earlier = load_model(initial)
        method.predictor().load_state_dict(network.state_dict())
        seen.update(earlier.details.get("unlabelled", ()))
    streams = make_streams(store, split, plan, settings, method=type(method), masks=masks)
    method.remember(whole_scan(store.case(case_id), plan.patch_size) for case_id in split.labelled)
    method.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's annotations
    if method.whole_scans:
        labelled, unlabelled = (stream.count if stream else 0 for stream in streams)
        check_memory(method, plan, labelled=labelled, unlabelled=unlabelled, device=device, dtype=dtype)
    if fabric.is_global_zero:
        write_json(run.folder / "environment.json", describe_environment(device))
    if method.uses_unlabelled and streams.unlabelled is None and not quiet:
        say(f"note: there are no unlabelled scans, so {settings.method} trains on the labelled ones alone")
    if streams.unlabelled is not None:
        seen.update(split.unlabelled)
    spec = _model_spec(method, settings, split, plan, seen=seen)
    batches = BatchMaker(
        settings.augmentation,
        device=device,
        memory_format=layout,
        seed=settings.seed,
        rank=fabric.global_rank,
        spacing_mm=patch_spacing_mm(plan),
    )
    with progress(title, settings.iterations, quiet=quiet) as shown:
        training = Training(
            method=method,
            settings=settings,
            streams=streams,
            batches=batches,
            fabric=fabric,
            folder=run.folder,
            validate=_validator(
                [store.case(case_id) for case_id in split.validation], spec, device, dtype, task=method.task
            ),
            save_best=lambda network: _save(run.folder, method, network, settings, spec, best=True),
            on_step=lambda note: shown.advance(note=note),
        )
        shown.go_on_from(training.resume())
        training.fit()
    if fabric.is_global_zero:
        _save(run.folder, method, training.predictor, settings, spec, best=False)
        _finish(run, training)
    fabric.barrier()


def build_method(settings: TrainSettings, plan: Plan) -> Method:
    """Return the method with freshly initialised networks; the same seed gives the same weights."""
    cls = method_class(settings.method)
    spec = network_spec(settings, plan)
    torch.manual_seed(seed_for(settings.seed, "initialise"))
    build = NetworkBuilder(
        spec,
        patch_size=settings.patch_size or plan.patch_size,
        channels=len(plan.channels),
        classes=None if cls.network_kind == "registration" else plan.class_count,
    )
    hyper = cls.hyper_parameters.parse(settings.hyper, source=f"settings of method {settings.method}")
    context = Context(classes=plan.class_count, dimensions=plan.dimensions, iterations=settings.iterations)
    return cls(hyper, build, context)


def network_spec(settings: TrainSettings, plan: Plan) -> NetworkSpec:
    """Return the run's network, its depth fitted to the patch where the settings leave it open."""
    size = settings.patch_size or plan.patch_size
    return fit_registration_levels(fit_levels(settings.network, size), size)


def fitted_plan(plan: Plan, settings: TrainSettings, split: Split) -> Plan:
    """Return the plan with the run's patch size, rounded up along each axis to what the network takes.

    For a method that takes whole scans, `whole_scan_plan` sets the size when the scans have been prepared.
    """
    trainable = trainable_class(settings.method)
    if issubclass(trainable, Recipe):
        trainable.check(settings, plan, split)
        settings = trainable.patch_stage(settings)
    check_plan(method_class(settings.method), plan, patch_size=settings.patch_size)
    wanted = plan.model_dump() | {"patch_size": settings.patch_size or plan.patch_size}
    plan = Plan.parse(wanted, source="settings")
    method = build_method(settings, plan)
    network = method.predictor()
    if method.network_kind == "segmentation":
        patch_size = fitting_size(network, plan.patch_size, channels=len(plan.channels))
    else:
        patch_size = rounded_up(plan.patch_size, divisors_of(network, plan.dimensions))
    return plan.model_copy(update={"patch_size": patch_size})


def patch_spacing_mm(plan: Plan) -> tuple[float, ...] | None:
    """Return the spacing along the axes of a patch; None where the plan knows none."""
    own = plan.median_spacing_mm or (None,) * plan.image_dimensions
    wanted = plan.preparation.spacing_mm or (None,) * plan.image_dimensions
    spacing = [new if new is not None else old for new, old in zip(wanted, own, strict=True)]
    if plan.slice_axis is not None:
        del spacing[plan.slice_axis]
    return None if None in spacing else tuple(float(side) for side in spacing if side is not None)


def make_streams(
    store: PreparedStore,
    split: Split,
    plan: Plan,
    settings: TrainSettings,
    *,
    method: type[Method],
    masks: SoftMasks | None = None,
) -> Streams:
    """Return the labelled stream, unless no scan is labelled, and, where wanted and possible, the unlabelled one.

    The unlabelled one carries soft ``masks`` where they are given.

    Raises
    ------
    UsageError
        When no scan is labelled and the method cannot do without.
    DataError
        When the method needs labels and a class has none.
    """
    common: dict[str, Any] = {
        "patch_size": plan.patch_size,
        "seed": settings.seed,
        "slice_axis": plan.slice_axis,
        "whole_scans": method.whole_scans,
    }
    labelled = unlabelled = None
    if method.needs_labels and not split.labelled:
        raise UsageError(
            f"method {method.name} needs at least one labelled scan", mend="Label one, or raise --labelled."
        )
    if split.labelled:
        labelled = PatchStream(
            [store.case(case_id) for case_id in split.labelled],
            count=settings.batch.labelled,
            name="labelled",
            with_labels=True,
            foreground_fraction=settings.foreground_fraction,
            **common,
        )
    if method.needs_labels:
        _require_every_class(store, split, plan)
    if method.uses_unlabelled and split.unlabelled and settings.batch.unlabelled:
        cases = [store.case(case_id) for case_id in split.unlabelled]
        unlabelled = PatchStream(
            cases,
            count=settings.batch.unlabelled,
            name="unlabelled",
            with_labels=False,
            soft_masks=masks,
            **common,
        )
    return Streams(labelled, unlabelled)


def _require_every_class(store: PreparedStore, split: Split, plan: Plan) -> None:
    present = {index for case_id in split.labelled for index in store.case(case_id).foreground()}
    missing = [plan.classes[index].name for index in range(1, plan.class_count) if index not in present]
    if missing:
        raise DataError(
            f"no labelled case contains {', '.join(missing)} (labelled: {', '.join(split.labelled)})",
            mend="Label a case that has it, choose others with --labelled-list, or remove the class from the plan.",
        )


def _validator(
    cases: list[PreparedCase], spec: ModelSpec, device: torch.device, dtype: torch.dtype, *, task: str
) -> Callable[[nn.Module], Validation] | None:
    """Return what scores the predicting network on the validation cases; None without any."""

    def validate_segmentation(network: nn.Module) -> Validation:
        return Validation(validate(Predictor(network=network, spec=spec, device=device, dtype=dtype), cases))

    def validate_registration(network: nn.Module) -> Validation:
        predictor = RegistrationPredictor(network=network, spec=spec, device=device, dtype=dtype)
        return validate_pairs(predictor, cases)

    if not cases:
        return None
    if task == "segmentation":
        return validate_segmentation
    if len(cases) == 1:
        raise UsageError(
            "registration is validated on pairs, and there is one validation case",
            mend="Give --validation 2 or more, or leave it out.",
        )
    return validate_registration


def _model_spec(
    method: Method, settings: TrainSettings, split: Split, plan: Plan, *, seen: Collection[str]
) -> ModelSpec:
    """Return what the model file says about the model; ``seen`` are the cases whose images it saw without labels."""
    details = {
        # test-time views may flip only what training flipped
        "flip_axes": list(mirrored_axes(settings.augmentation, plan.dimensions)),
        "iterations": settings.iterations,
        "seed": settings.seed,
        "hyper": settings.hyper,
        # read by fewscan.metrics.trained_on, also where the file has left its run and the split with it
        "labelled": list(split.labelled),
        "validation": list(split.validation),
        "unlabelled": sorted(seen),
        "annotation_cost": split.annotation_cost,
    }
    network = method.predictor_spec(network_spec(settings, plan))
    return ModelSpec(plan=plan, network=network, method=settings.method, details=details)


def _save(
    folder: Path, method: Method, network: nn.Module, settings: TrainSettings, spec: ModelSpec, *, best: bool
) -> None:
    """Write the model file of the predicting network, and before it those of what else may predict."""
    for name, (other, built) in method.further_predictors(network_spec(settings, spec.plan)).items():
        save_model(folder / model_name(name, best=best), other, spec.model_copy(update={"network": built}))
    save_model(folder / model_name(best=best), network, spec)


def _finish(run: "Run", training: Training) -> None:
    from fewscan.pictures.curves import save_learning_curves

    records = read_log(run.folder / "log.jsonl")
    save_learning_curves(run.folder / "curves.png", records)
    summary = run.summary | {
        "state": "finished",
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "training_seconds": round(training.seconds, 1),
        "peak_memory_mib": round(peak_memory_mib(training.fabric.device), 1),
        "best_validation": training.best,
    }
    write_json(run.folder / "run.json", summary)
