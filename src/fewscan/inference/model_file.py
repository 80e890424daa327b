"""The model file: weights and everything prediction must know, in one ``.safetensors`` file.

The specification (plan, network, method) and the version of this format are the JSON description of a tensor file (see
`fewscan.tensor_file`), which is atomic and carries the SHA-256 of all that it holds. Nothing in the file is executed
when it is read, and a file that is cut short, altered, of another format version or not a model at all is refused.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from fewscan import __version__
from fewscan.data.plan import Plan
from fewscan.errors import DataError, UsageError
from fewscan.networks.registry import NetworkSpec, build_network, is_registration_network
from fewscan.settings import Settings, nearest_key
from fewscan.tensor_file import read_tensors, write_tensors

FORMAT_VERSION = 1
MODEL_NAME = "model.safetensors"
REGISTRATION_NAME = "model_registration.safetensors"
"""The registration network of a run whose own model segments."""


class ModelSpec(Settings):
    """What a model was made from and for.

    Attributes
    ----------
    plan : Plan
        The data: channels, classes, preparation, patch size.
    network : NetworkSpec
        Name and options of the network.
    method : str
        Name of the method that trained it.
    details : dict
        Whatever else is worth keeping: stages, iterations, labelled cases.
    fewscan_version : str
        The version that wrote the file.
    """

    plan: Plan
    network: NetworkSpec
    method: str
    details: dict[str, Any] = Field(default_factory=dict)
    fewscan_version: str = __version__


def save_model(path: Path, network: nn.Module, spec: ModelSpec) -> None:
    """Write a network and its specification to one file, atomically.

    Parameters
    ----------
    path : Path
        Of the ``.safetensors`` file; a file already there is replaced.
    network : nn.Module
        As `build_network` builds it from ``spec``; on any device.
    spec : ModelSpec
        What is needed to build the network and to prepare scans for it.

    Raises
    ------
    DataError
        If a weight is not finite: such a model predicts nothing.
    """
    # clones, because safetensors refuses tensors that share memory
    tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise DataError(
                f"{path}: not written, the weights {name} are not finite",
                mend="The training has diverged; train with a lower learning rate or in fp32.",
            )
    write_tensors(path, tensors, {"format": FORMAT_VERSION, "spec": spec.model_dump(mode="json")})


def load_model(path: Path) -> tuple[nn.Module, ModelSpec]:
    """Read a model file, check it and build its network.

    Parameters
    ----------
    path : Path
        The file, or the run folder that holds ``model.safetensors``.

    Returns
    -------
    network : nn.Module
        With the file's weights, on the CPU, in evaluation mode.
    spec : ModelSpec

    Raises
    ------
    DataError
        If there is no such file, it is not a model file, was altered, has another format version, or its weights do not
        fit its network.
    """
    path = model_path(path)
    tensors, description = read_tensors(path)
    if "format" not in description or "spec" not in description:
        raise DataError(
            f"{path}: holds tensors of fewscan, but is not a model", mend=f"Give the {MODEL_NAME} of a fewscan run."
        )
    if description["format"] != FORMAT_VERSION:
        raise DataError(
            f"{path}: model format {description['format']!r}, but this fewscan reads format {FORMAT_VERSION}",
            mend="Use the fewscan version that wrote the model, or train it again.",
        )
    try:
        spec = ModelSpec.parse(description["spec"], source=str(path))
        network = build_network(
            spec.network,
            dimensions=spec.plan.dimensions,
            channels=len(spec.plan.channels),
            classes=None if is_registration_network(spec.network.name) else spec.plan.class_count,
        )
    except UsageError as error:
        raise DataError(f"{path}: the model's specification is not valid: {error.message}", mend=error.mend) from None
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise DataError(
            f"{path}: the weights do not fit the network {spec.network.name!r}: {first[0].strip()}",
            mend="Use the fewscan version that wrote the model, or train it again.",
        ) from None
    return network.eval(), spec


def model_name(predictor: str = "", *, best: bool = False) -> str:
    """Return what a run calls the file of its own or another predictor, of the last step or the best on validation."""
    return "_".join(("model", *filter(None, (predictor, "best" if best else "")))) + ".safetensors"


def model_path(model: Path, predictor: str | None = None) -> Path:
    """Return the model file: ``model`` itself, or ``model.safetensors`` in the run folder ``model``.

    Parameters
    ----------
    model : Path
        Model file, or run folder.
    predictor : str, optional
        Another predictor of the run: "best" is ``model_best.safetensors``, see `model_name`. The name of the run's
        method is the ordinary one.

    Raises
    ------
    DataError
        If the run folder holds no model.
    UsageError
        If there is no such file or folder, or the run has no such predictor.
    """
    path = model / MODEL_NAME if model.is_dir() else model
    if predictor is not None:
        path = _predictor_path(path, predictor)
    if not path.is_file():
        wrong = DataError if model.is_dir() else UsageError  # an unfinished run, or a path that does not exist
        raise wrong(
            f"{path}: no such model file",
            mend=f"Give a model file or the folder of a finished run, which holds {MODEL_NAME}.",
        )
    return path


def _predictor_path(path: Path, predictor: str) -> Path:
    there = {other.stem.removeprefix("model_"): other for other in path.parent.glob("model_*.safetensors")}
    if path.name == MODEL_NAME and predictor in there:
        return there[predictor]
    if path.is_file() and load_model(path)[1].method == predictor:
        return path
    hint = nearest_key(predictor, sorted(there)) if there else "it holds no other than its own"
    mend = f"Leave --predictor out for {MODEL_NAME}." if path.is_file() else "A run has its models when it is finished."
    raise UsageError(f"{path.parent}: has no predictor {predictor!r}: {hint}", mend=mend)
