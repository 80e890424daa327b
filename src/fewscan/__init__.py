"""fewscan: train on the few scans you have annotated and the many you have not.

The public names are imported on first use, so that ``import fewscan`` and ``fewscan --help`` answer at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Case": "fewscan.data.case",
    "Dataset": "fewscan.data.case",
    "FewscanError": "fewscan.errors",
    "load_dataset": "fewscan.data.layouts",
    "train": "fewscan.training.run",
    "predict": "fewscan.inference.predict",
    "ensemble": "fewscan.inference.ensemble",
    "register": "fewscan.registration.register",
    "evaluate": "fewscan.metrics.evaluate",
    "compare": "fewscan.experiments.compare",
    "make_report": "fewscan.report.page",
}

__all__ = [
    "Case",
    "Dataset",
    "FewscanError",
    "__version__",
    "compare",
    "ensemble",
    "evaluate",
    "load_dataset",
    "make_report",
    "predict",
    "register",
    "train",
]

if TYPE_CHECKING:
    from fewscan.data.case import Case, Dataset
    from fewscan.data.layouts import load_dataset
    from fewscan.errors import FewscanError
    from fewscan.experiments.compare import compare
    from fewscan.inference.ensemble import ensemble
    from fewscan.inference.predict import predict
    from fewscan.metrics.evaluate import evaluate
    from fewscan.registration.register import register
    from fewscan.report.page import make_report
    from fewscan.training.run import train


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        msg = f"module 'fewscan' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
