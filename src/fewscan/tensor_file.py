"""Tensors and a JSON description in one safetensors file: atomic, hashed, never pickled."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fewscan.errors import DataError

_DESCRIPTION, _HASH = "fewscan", "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write ``tensors`` and ``description`` (JSON) to ``path``.

    The file appears complete or not at all: it is written beside its place, flushed to disk, and renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(description, sort_keys=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        save_file(plain, temporary, metadata={_DESCRIPTION: text, _HASH: _digest(plain, text)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote, after checking its hash.

    Raises
    ------
    DataError
        When the file is missing, cut short, of another kind (a pickle is never opened), or its content was changed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable safetensors file ({error})",
            mend="The file is damaged or of another kind; use an undamaged copy.",
        ) from None
    if _DESCRIPTION not in metadata or _HASH not in metadata:
        raise DataError(f"{path}: a safetensors file, but not one that fewscan wrote")
    if metadata[_HASH] != _digest(tensors, metadata[_DESCRIPTION]):
        raise DataError(
            f"{path}: the content does not match its hash", mend="The file was damaged; use an undamaged copy."
        )
    return tensors, json.loads(metadata[_DESCRIPTION])


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot sync a folder; the rename itself is still atomic
    finally:
        os.close(descriptor)
