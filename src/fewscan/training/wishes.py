"""What a run is asked for: its settings and wishes when it is new, and that a resumed run keeps them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fewscan.errors import UsageError
from fewscan.locking import LOCK_NAME
from fewscan.settings import Settings
from fewscan.training.data import TrainingData
from fewscan.training.default_method import Chosen, choose_method, facts_of
from fewscan.training.settings import TrainSettings, changed_on_resume, resolve_settings


def require_empty(out: Path) -> None:
    """Refuse a folder that holds anything; `UsageError`."""
    # a lock alone is what a process leaves that was killed before it had decided anything
    if out.exists() and any(other.name != LOCK_NAME for other in out.iterdir()):
        raise UsageError(
            f"{out}: exists and is not empty",
            mend="Choose another --out, or continue this run with --resume (Python: resume=True).",
        )


def method_for(
    data: Path, parts: Mapping[str, Any], preset: str | None, config: Mapping[str, Any], single: Mapping[str, Any]
) -> Chosen | None:
    """Return the method that suits the data, the same in every process; nothing where the settings name one.

    Raises
    ------
    UsageError
        For settings that no method takes, before a scan is read.
    """
    if "method" in config or "method" in single:
        return None
    common = [
        {key: value for key, value in given.items() if key.split(".")[0] != "hyper"} for given in (config, single)
    ]
    seed = resolve_settings(method="supervised", preset=preset, config=common[0], overrides=common[1]).seed
    return choose_method(facts_of(TrainingData(data, quiet=True), **parts, seed=seed))


def wishes_of(folder: Path, before: Mapping[str, Any], data: Path, wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wishes of a new run as plain data, or those that the run to resume was started with.

    What is left out on resume is as it was. A data set that has moved is accepted: nothing is left where it was.

    Raises
    ------
    UsageError
        When the run to resume was started with other wishes or on another data set.
    """
    given: dict[str, Any] = json.loads(json.dumps(wishes, default=_plain))
    asked: dict[str, Any] = before.get("asked", given)
    # 0 is what validation is unless told, but a wish of its own where labels are counted
    unsaid = {key: (None, 0) if key == "validation" else (None,) for key in given}
    changed = [key for key, value in given.items() if value not in unsaid[key] and value != asked[key]]
    source = Path(before.get("data", data))
    if source.exists() and source.resolve() != data.resolve():
        changed.append(f"data ({source})")
    if changed:
        raise UsageError(
            f"{folder}: cannot resume with other wishes than it was started with: {', '.join(changed)}",
            mend="Leave them out to continue as started, or start a new run.",
        )
    return asked


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Settings) else str(value)


def settings_of(
    out: Path,
    asked: Mapping[str, str | None],
    config: Mapping[str, Any],
    single: Mapping[str, Any],
    *,
    resume: bool,
) -> TrainSettings:
    """Return the settings of a new run, or of the run to resume; refuse other settings than that was started with."""
    path = out / "settings.yaml"
    if not resume:
        return resolve_settings(**asked, config=config, overrides=single)
    if not path.is_file():
        raise UsageError(f"{out}: no run to resume here", mend="Check --out, or start a new run without --resume.")
    stored = TrainSettings.read(path)
    if not (config or single or any(asked.values())):
        return stored
    # a file states all settings of the run, as it did at the start; single ones alone are laid over the stored ones
    wanted = resolve_settings(**asked, config=config or stored.model_dump(mode="json"), overrides=single)
    changed = changed_on_resume(stored, wanted)
    if changed:
        raise UsageError(
            f"{out}: cannot resume with other settings: {', '.join(changed)}",
            mend="Leave them out to continue as started, or start a new run.",
        )
    return wanted


def read_config(config: Path | str | None) -> dict[str, Any]:
    """Return the settings of a YAML file, or none; `UsageError` for a file that is not readable as a mapping."""
    if config is None:
        return {}
    try:
        data = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--config {config}: not readable as YAML: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"--config {config}: expected a mapping of settings")
    return data
