"""Several trained models made one: a model file whose answer is the mean of their class probabilities.

Networks that learned from the same few scans err in different voxels, so that their mean is nearer to the truth than
each of them (docs/results.md has figures). The file is a model like any other: `fewscan predict` needs nothing else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from fewscan.data.plan import Plan
from fewscan.data.store_format import content_digest
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, load_model, model_path, save_model
from fewscan.metrics.trained_on import training_cases
from fewscan.networks.divisors import common_divisors, divisors_of, rounded_up
from fewscan.networks.ensemble import Ensemble, ensemble_spec
from fewscan.networks.registry import ENSEMBLE, is_registration_network

_SUFFIX = ".safetensors"
# what two plans must have in common for probabilities of the one to mean the same in the other
_SHARED = ("dimensions", "image_dimensions", "orientation", "slice_axis", "channels", "classes", "preparation")


def ensemble(models: Sequence[Path | str], out: Path | str) -> Path:
    """Write one model file that answers with the mean of several models.

    Parameters
    ----------
    models : sequence of paths
        Two or more run folders or model files, trained for the same channels, classes and preparation.
    out : path
        The new model file, ``.safetensors``.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    DataError
        If a model is not intact, or models were trained for different data; all differences are named.
    UsageError
        If there are fewer than two models, one is given twice, one cannot be part of a mean (a registration model, or
        one that lays annotated scans onto the target), or ``out`` exists or has another suffix.
    """
    out = Path(out)
    _check_place(out)
    files = [model_path(Path(model)) for model in models]
    digests = _distinct(files)
    loaded = [load_model(file) for file in files]
    for file, (network, spec) in zip(files, loaded, strict=True):
        _check_member(file, network, spec)
    networks, specs = [network for network, _ in loaded], [spec for _, spec in loaded]
    equal = [1.0] * len(networks)
    spec = ModelSpec(
        plan=_common_plan(files, networks, specs),
        network=ensemble_spec([spec.network for spec in specs], equal),
        method=ENSEMBLE,
        details=_details(files, specs, digests),
    )
    save_model(out, Ensemble(networks, equal), spec)
    return out


def _check_place(out: Path) -> None:
    if out.suffix != _SUFFIX:
        raise UsageError(
            f"{out}: a model file ends in .safetensors", mend=f"Give --out {out.with_suffix(_SUFFIX).name}."
        )
    if out.exists():
        raise UsageError(f"{out}: is there already", mend="Give another name, or remove it first.")


def _distinct(files: Sequence[Path]) -> list[str]:
    """Return the digests of the files; each must be there once."""
    if len(files) < 2:
        raise UsageError("an ensemble is made of two models or more", mend="Give further runs or model files.")
    digests: dict[str, Path] = {}
    for file in files:
        digest = content_digest(file)
        if digest in digests:
            other = "it is" if digests[digest] == file else f"{digests[digest]} is"
            raise UsageError(f"{file}: {other} among the models already, with the same weights", mend="Leave one out.")
        digests[digest] = file
    return list(digests)


def _check_member(file: Path, network: nn.Module, spec: ModelSpec) -> None:
    if is_registration_network(spec.network.name):
        raise UsageError(f"{file}: is a registration model, which segments nothing", mend="Leave it out.")
    if getattr(network, "whole_scans", False):
        raise UsageError(
            f"{file}: a model of method {spec.method} lays annotated scans onto the whole target, and cannot share "
            "windows with other networks",
            mend="Leave it out; of a joint run give the run folder, whose own model is its segmentation network.",
        )


def _common_plan(files: Sequence[Path], networks: Sequence[nn.Module], specs: Sequence[ModelSpec]) -> Plan:
    """Return the plan of the first model, with windows that suit all networks."""
    first = specs[0].plan
    wanted = _shared_settings(first)
    problems = [
        f"{file}: {name} is {value}, and {wanted.get(name)} in {files[0]}"
        for file, spec in zip(files[1:], specs[1:], strict=True)
        for name, value in _shared_settings(spec.plan).items()
        if value != wanted.get(name)
    ]
    if problems:
        raise DataError(
            "these models were trained for different data:\n" + "\n".join(f"  {problem}" for problem in problems),
            mend="Train them from one prepared store, which has one plan.",
        )
    largest = [max(sides) for sides in zip(*(spec.plan.patch_size for spec in specs), strict=True)]
    divisors = common_divisors([divisors_of(network, first.dimensions) for network in networks])
    return first.model_copy(update={"patch_size": rounded_up(largest, divisors)})


def _shared_settings(plan: Plan) -> dict[str, Any]:
    values = plan.model_dump(mode="json", include=set(_SHARED))
    preparation = values.pop("preparation")
    classes = {f"class {number}": item for number, item in enumerate(values.pop("classes"))}
    return values | {"class count": len(classes)} | classes | {f"preparation.{k}": v for k, v in preparation.items()}


def _details(files: Sequence[Path], specs: Sequence[ModelSpec], digests: Sequence[str]) -> dict[str, Any]:
    """Return who is part of it, which cases any of them learned from, and the axes that all of them may flip."""
    seen = [training_cases(file, spec.details) for file, spec in zip(files, specs, strict=True)]
    labelled = frozenset().union(*(cases.labelled for cases in seen))
    validation = frozenset().union(*(cases.validation for cases in seen))
    every = list(range(specs[0].plan.dimensions))
    return {
        "members": [
            {"method": spec.method, "seed": spec.details.get("seed"), "sha256": digest}
            for spec, digest in zip(specs, digests, strict=True)
        ],
        "flip_axes": [axis for axis in every if all(axis in spec.details.get("flip_axes", every) for spec in specs)],
        "labelled": sorted(labelled),
        "validation": sorted(validation),
        "unlabelled": sorted(frozenset().union(*(cases.unlabelled for cases in seen)) - labelled - validation),
        "annotation_cost": len(labelled | validation),
    }
