"""Strict settings: pydantic models whose unknown keys are errors that name the nearest valid key."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fewscan.errors import UsageError
from fewscan.files import write_atomically


class Settings(BaseModel):
    """Base of every settings model: frozen, strict about keys, readable as YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, data: Any, *, source: str) -> Self:
        """Validate ``data``; a failure becomes one `UsageError` that lists every problem.

        Parameters
        ----------
        data : mapping
            What was read from YAML, JSON or ``--set``.
        source : str
            Where it came from, for the message ("plan.yaml", "--set").
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_explain(cls, dict(item)) for item in error.errors()]
            raise UsageError(f"{source}: " + "; ".join(lines)) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a YAML file."""
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{path}: no such file") from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"{path}: not readable as YAML: {error}") from None
        return cls.parse(data or {}, source=str(path))

    def write(self, path: Path) -> None:
        """Write as YAML, atomically."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        write_atomically(path, text.encode())


def nearest_key(key: str, valid: list[str]) -> str:
    """Return a hint that names the valid key nearest to ``key``, or lists them when none is near."""
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"valid keys: {', '.join(sorted(valid))}"


def _explain(model: type[BaseModel], item: dict[str, Any]) -> str:
    location = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        valid = _fields_at(model, item["loc"][:-1])
        return f"unknown key {location!r}: {nearest_key(str(item['loc'][-1]), valid)}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if isinstance(item.get("input"), Mapping):  # a rule about several values, which says itself what it found
        return f"{location}: {message}" if location else message
    return f"{location or 'value'}: {message} (got {item.get('input')!r})"


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        info = model.model_fields.get(str(part))
        nested = info.annotation if info else None
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            model = nested
    return list(model.model_fields)
