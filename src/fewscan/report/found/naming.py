"""Names of classes that an evaluation did not know, from the record of the predictions."""

from collections.abc import Mapping
from dataclasses import replace

from fewscan.metrics.evaluation import Evaluation


def named(evaluation: Evaluation, names: Mapping[int, str]) -> Evaluation:
    """Return the evaluation with the names of classes that were only numbers in it; others stay as they are.

    Parameters
    ----------
    evaluation : Evaluation
        Scored against a folder of label files, say, which names no classes.
    names : mapping of int to str
        Those of the model.
    """
    new = {
        str(value): names[value] for value, name in evaluation.names.items() if name == str(value) and value in names
    }
    taken = set(evaluation.names.values()) & set(new.values())
    if not new or taken or len(set(new.values())) < len(new):
        return evaluation
    return replace(
        evaluation,
        names={value: new.get(name, name) for value, name in evaluation.names.items()},
        summary=tuple(replace(row, label=new.get(row.label, row.label)) for row in evaluation.summary),
        comparison=tuple(replace(row, label=new.get(row.label, row.label)) for row in evaluation.comparison),
        means={new.get(label, label): check for label, check in evaluation.means.items()},
    )
