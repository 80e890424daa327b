"""The training loop: one function that any method runs through.

Per step: read the batch, augment, loss terms, weighted sum, backward, clip, optimiser, the second step of a method with
an adversary, what follows the networks, log.
All randomness of a step is keyed by (seed, rank, step), so a run continued from a checkpoint takes the same steps, bit
for bit on the CPU, as one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewscan.errors import DataError, InterruptedRunError, UsageError
from fewscan.methods.base import Method
from fewscan.networks.ema import EMA
from fewscan.seeding import seed_for
from fewscan.training.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from fewscan.training.environment import peak_memory_mib
from fewscan.training.interrupt import StopRequest
from fewscan.training.log import RunLog
from fewscan.training.optimisers import build_optimiser, optimiser_tensors, restore_optimiser, set_learning_rate
from fewscan.training.second_step import SecondStep, own_parameters
from fewscan.training.settings import TrainSettings, changed_on_resume
from fewscan.training.streams import BatchMaker, Streams, read_ahead
from fewscan.training.validation import Validation


@dataclass
class Training:
    """Everything the loop works on; `fit` runs it.

    Attributes
    ----------
    method : Method
        Already on the device and in its memory format.
    settings : TrainSettings
    streams, batches
        Where patches come from, and how they become batches.
    fabric : Fabric
    folder : Path
        The run folder, for log and checkpoints.
    validate : callable or None
        Maps the predicting network to its scores on the validation cases.
    save_best : callable
        Called with the predicting network when validation improved.
    on_step : callable
        Called with a short note after each step, for progress.
    """

    method: Method
    settings: TrainSettings
    streams: Streams
    batches: BatchMaker
    fabric: Any
    folder: Path
    validate: Callable[[nn.Module], Validation] | None
    save_best: Callable[[nn.Module], None]
    on_step: Callable[[str], None] = lambda note: None
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        decay = self.settings.ema_decay
        self.ema = None if decay is None else EMA([self.method.predictor()], decay=decay)
        self.second = SecondStep(self.method, self.fabric)
        optimiser = build_optimiser(
            own_parameters(self.method), self.settings.optimiser, factors=self.method.rate_factors()
        )
        self.module, self.optimiser = self.fabric.setup(self.method, optimiser)
        self.log = RunLog(self.folder / "log.jsonl")
        self.first_step = 0

    @property
    def predictor(self) -> nn.Module:
        """The network that validation measures and the model file holds."""
        return self.method.predictor() if self.ema is None else self.ema.network

    def resume(self) -> int:
        """Load the newest checkpoint, if any; return the step to continue at."""
        checkpoint = newest_checkpoint(self.folder / "checkpoints")
        if checkpoint is not None:
            self._restore(checkpoint)
            self._check_settings(checkpoint)
            self.first_step = checkpoint.step
            self.seconds, self.best = checkpoint.details["seconds"], checkpoint.details["best"]
        if self.fabric.is_global_zero:
            self.log.rewind(self.first_step)
        self.fabric.barrier()
        return self.first_step

    def _check_settings(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint of other settings: settings.yaml was edited, or the checkpoint is another run's."""
        found = checkpoint.details.get("settings", self.settings)
        stored = TrainSettings.parse(found, source="the checkpoint's settings")
        if changed := changed_on_resume(stored, self.settings):
            raise UsageError(
                f"{self.folder}: the checkpoint of step {checkpoint.step} was made with other {', '.join(changed)}",
                mend="Undo the change in settings.yaml, or start a new run.",
            )

    def _restore(self, checkpoint: Checkpoint) -> None:
        try:
            self.method.load_state_dict(checkpoint.parts["method"])
            # an optimiser without a state, as SGD without momentum, leaves no part
            restore_optimiser(self.optimiser.optimizer, checkpoint.parts.get("optimiser", {}))
            self.second.restore(checkpoint.parts.get("adversary", {}))
            if self.ema is not None:
                self.ema.load_state_dict(checkpoint.parts["ema"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.folder}: the checkpoint of step {checkpoint.step} does not fit this run's networks ({error})",
                mend="It belongs to another run; start a new run, or put the right checkpoints back.",
            ) from None

    def fit(self) -> None:
        """Train to the last step.

        Raises
        ------
        InterruptedRunError
            After SIGINT or SIGTERM; a checkpoint was saved.
        DataError
            When the loss or its gradient is not finite; the cases of the batch are named, and the weights of the step
            before are kept.
        """
        settings, rank, ranks = self.settings, self.fabric.global_rank, self.fabric.world_size
        steps = read_ahead(lambda step: self.streams.at(step, rank, ranks), self.first_step, settings.iterations)
        self.module.train()
        with StopRequest() as stop:
            started = time.perf_counter()
            for step, patches in steps:
                record = self._step(step, patches)
                finished = time.perf_counter()
                self.seconds += finished - started
                logged = step % settings.log_every == 0 or step + 1 == settings.iterations
                if logged and self.fabric.is_global_zero:
                    self._log(record, step, finished - started)
                self.on_step(f"loss {record['loss']:.4f}")
                started = finished
                self._after(step + 1, stop)
                started = time.perf_counter()

    def _step(self, step: int, patches: Any) -> dict[str, Any]:
        settings = self.settings
        torch.manual_seed(seed_for(settings.seed, "step", self.fabric.global_rank, step))
        batch = self.batches.make(step, *patches)
        rate = set_learning_rate(self.optimiser, settings.optimiser, step, settings.iterations)
        terms: dict[str, Tensor] = self.module(batch, step)
        weights = self.method.weights(step)
        total = _weighted(terms, weights)
        loss = float(total.detach())
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        limit = settings.optimiser.clip_gradient_norm or math.inf
        norm = nn.utils.clip_grad_norm_(own_parameters(self.method), limit)
        # before the step, which would spoil the weights and the next checkpoint, but after the gradients have been
        # exchanged, so that all processes stop together
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            self._refuse(step, batch.cases + batch.unlabelled_cases, loss, terms)
        self.optimiser.step()
        against = self.second.terms(batch, step)
        if against and not self.second.take(_weighted(against, weights)):
            self._refuse(step, batch.cases + batch.unlabelled_cases, loss, against)
        self.method.after_step(step)
        if self.ema is not None:
            self.ema.update([self.method.predictor()], step)
        return {
            "loss": loss,
            "lr": rate,
            "terms": terms,
            "adversary": against,
            "weights": weights,
            "samples": _samples(batch),
        }

    def _log(self, record: dict[str, Any], step: int, seconds: float) -> None:
        against = record["adversary"]
        self.log.write(
            {
                "kind": "step",
                "step": step,
                "terms": _described(record["terms"], record["weights"]),
                **({"adversary": _described(against, record["weights"])} if against else {}),
                "loss": record["loss"],
                "lr": record["lr"],
                "seconds": round(seconds, 4),
                "samples_per_second": round(record["samples"] * self.fabric.world_size / seconds, 2),
                "peak_memory_mib": round(peak_memory_mib(self.fabric.device), 1),
            }
        )

    def _after(self, done: int, stop: StopRequest) -> None:
        """Validate, save and stop where it is time, after ``done`` steps."""
        settings = self.settings
        last = done == settings.iterations
        if self.validate is not None and (last or (settings.validate_every and done % settings.validate_every == 0)):
            self._validate(done)
        stopping = self._any_rank(stop.requested)
        if last or stopping or done % settings.checkpoint_every == 0:
            self._save(done)
        if stopping and not last:
            raise InterruptedRunError(
                f"{self.folder}: stopped after step {done} of {settings.iterations}; everything is saved",
                mend="Continue with the same command and --resume.",
            )

    def _validate(self, done: int) -> None:
        if self.validate is None:
            return
        if self.fabric.is_global_zero:
            network = self.predictor
            network.eval()
            found = self.validate(network)
            self.module.train()
            scores = {"dice": dict(found.dice), "mean_dice": found.mean_dice, **found.more}
            self.log.write({"kind": "validation", "step": done - 1, **scores})
            name, value = found.decisive
            if value > self.best.get(name, -math.inf):
                self.best = {"step": done, name: value}
                self.save_best(network)
        self.fabric.barrier()

    def _save(self, done: int) -> None:
        if self.fabric.is_global_zero:
            parts = {
                "method": dict(self.method.state_dict()),
                "optimiser": optimiser_tensors(self.optimiser.optimizer),
                "adversary": self.second.tensors(),
            }
            if self.ema is not None:
                parts["ema"] = dict(self.ema.state_dict())
            details = {
                "seconds": self.seconds,
                "best": self.best,
                "settings": self.settings.model_dump(mode="json"),
            }
            save_checkpoint(self.folder / "checkpoints", Checkpoint(done, parts, details))
        self.fabric.barrier()

    def _any_rank(self, flag: bool) -> bool:
        if self.fabric.world_size == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum") > 0)

    def _refuse(self, step: int, cases: tuple[str, ...], loss: float, terms: dict[str, Tensor]) -> None:
        bad = [name for name, term in terms.items() if not torch.isfinite(term)]
        what = "the gradient is not finite"
        if not math.isfinite(loss):
            what = f"the loss is not finite ({', '.join(bad) or 'sum'})"
        raise DataError(
            f"step {step}: {what}; the batch held {', '.join(sorted(set(cases)))}",
            mend="Check these cases (fewscan check), or lower optimiser.learning_rate; the last checkpoint is intact.",
        )


def _weighted(terms: dict[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the sum of all terms times their weights; a term without one weighs 1."""
    return torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()


def _described(terms: dict[str, Tensor], weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return value, weight and product of every term."""
    values = {name: (float(term.detach()), weights.get(name, 1.0)) for name, term in terms.items()}
    return {
        name: {"value": value, "weight": weight, "product": weight * value} for name, (value, weight) in values.items()
    }


def _samples(batch: Any) -> int:
    return int(batch.images.shape[0] + batch.unlabelled.shape[0])
