"""What a recipe is: several trainings in order, each of them an ordinary method run by the engine in a sub-folder.

Recipes are found by name and run by the engine's entry point, but are built on the engine; so only this interface lies
here, and the recipes themselves in `fewscan.recipes`.
"""

from abc import ABC, abstractmethod
from typing import Any

from fewscan.methods.base import Trainable


class Recipe(Trainable, ABC):
    """Base of all recipes; never instantiated."""

    @classmethod
    @abstractmethod
    def check(cls, settings: Any, plan: Any, split: Any) -> None:
        """Raise `UsageError` where settings (`TrainSettings`), plan or split cannot work, before scans are prepared."""

    @classmethod
    @abstractmethod
    def patch_stage(cls, settings: Any) -> Any:
        """Return the settings of the stage that trains on patches; its network decides the patch size of the plan."""

    @classmethod
    @abstractmethod
    def train(cls, run: Any, store: Any, settings: Any, fabric: Any, *, quiet: bool) -> None:
        """Run every stage that is not finished, and leave models, log and summary in the run's folder.

        Parameters
        ----------
        run : Run
            With settings, plan and split written.
        store : PreparedStore
        settings : TrainSettings
        fabric : Fabric
        quiet : bool
            Print nothing.
        """
