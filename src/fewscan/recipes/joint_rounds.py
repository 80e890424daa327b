"""The rounds of the joint framework: which stage follows which, on what, and when it ends.

    RUN/stages/0-segmentation  0-registration             ordinary runs
    RUN/stages/1-masks  1-segmentation  1-registration    and so on
    RUN/log.jsonl  rounds.json                            every stage's log in one; what came of each round
    RUN/rounds/round_1.png ...  strip.png                 pseudo-masks of a few scans
    RUN/model.safetensors                                 the final segmentation network: "Joint"
    RUN/model_combined.safetensors                        both networks and the annotated scans: "Combined"
    RUN/model_registration.safetensors                    the final registration network, for `fewscan register`
    RUN/model_best.safetensors  model_combined_best.safetensors      "Joint" and "Combined" of the best round
                                                          on validation scans, if there are any

Everything is decided by what the stages have left on disk, so a run that was stopped anywhere goes on where it was.
"""

import time
from pathlib import Path
from typing import Any

from fewscan.augment.symmetry import mirrored_axes, turned_planes
from fewscan.data.prepared import PreparedStore
from fewscan.data.sampling import SoftMasks
from fewscan.data.split import Split
from fewscan.data.whole_scan import whole_scan
from fewscan.files import write_json
from fewscan.inference.model_file import MODEL_NAME, REGISTRATION_NAME, ModelSpec, load_model, model_name, save_model
from fewscan.networks.layout import best_layout
from fewscan.networks.precision import resolve_precision
from fewscan.networks.registry import COMBINED
from fewscan.progress import clock, say
from fewscan.recipes.combined import Combined, CombinedOptions, combined_spec
from fewscan.recipes.joint_pictures import PLANES, draw, write_planes
from fewscan.recipes.joint_record import (
    RoundRecord,
    gather_logs,
    has_levelled_off,
    read_round,
    seconds_left,
    stage_path,
)
from fewscan.recipes.joint_settings import Kind, lengths_for, parameters_of, stage_settings
from fewscan.recipes.mask_quality import agreeing
from fewscan.recipes.mask_store import MaskStore, finish_store
from fewscan.recipes.pseudo_masks import MaskMaker
from fewscan.recipes.stages import train_stage
from fewscan.registration.atlases import Atlases
from fewscan.training.environment import describe_environment, peak_memory_mib
from fewscan.training.run import Run
from fewscan.training.settings import TrainSettings
from fewscan.training.start import build_method, patch_spacing_mm
from fewscan.training.whole_scans import check_memory, whole_scan_plan


class JointTraining:
    """One run of the joint framework.

    Parameters
    ----------
    run : Run
        Its folder holds settings, plan and split.
    store : PreparedStore
    settings : TrainSettings
    fabric : Fabric
    quiet : bool
        Print nothing.
    """

    def __init__(self, run: Run, store: PreparedStore, settings: TrainSettings, fabric: Any, *, quiet: bool) -> None:
        self.run, self.store, self.settings, self.fabric = run, store, settings, fabric
        self.quiet = quiet or not fabric.is_global_zero
        self.hyper, self.plan, self.split = parameters_of(settings), run.plan, run.split
        self.lengths = lengths_for(settings, self.split)
        self.rounds = max(number for number, _ in self.lengths)
        self.registers = (0, "registration") in self.lengths
        self.whole_plan = whole_scan_plan(self.plan, store, self.split)
        sides = zip(self.whole_plan.patch_size, self.plan.patch_size, strict=True)
        self.grid = tuple(max(pair) for pair in sides)

    def train(self) -> None:
        """Run every stage that is not finished, and write models and summary."""
        self._say_notes()
        if self.registers:
            self._check_registration()
        if self.fabric.is_global_zero:
            write_json(self.run.folder / "environment.json", describe_environment(self.fabric.device))
        history: list[RoundRecord] = []
        for number in range(self.rounds + 1):
            store = self._masks(number) if number else None
            used = self._used(store) if store is not None else self.split.unlabelled
            self._stage(number, "segmentation", used, store)
            if self.registers:
                self._stage(number, "registration", used, store)
            history.append(read_round(self.run.folder, number, store, used=used))
            self._write_records(history)
            if self.hyper.patience and has_levelled_off(history, patience=self.hyper.patience):
                self._say(f"round {number}: validation Dice has levelled off; no further round")
                break
        if self.fabric.is_global_zero:
            self._write_models(history)
        self.fabric.barrier()

    def stage_folder(self, number: int, kind: str) -> Path:
        """Return the folder of a stage."""
        return stage_path(self.run.folder, number, kind)

    def _check_registration(self) -> None:
        """Refuse settings and scans that the registration would refuse after the segmentation has been trained."""
        settings = stage_settings(self.settings, "registration", round_number=0, steps=1)
        device = self.fabric.device
        check_memory(
            build_method(settings, self.whole_plan).to(device),
            self.whole_plan,
            labelled=settings.batch.labelled if self.split.labelled else 0,
            unlabelled=settings.batch.unlabelled if self.split.unlabelled else 0,
            device=device,
            dtype=resolve_precision(settings.precision, device),
        )

    def _say(self, line: str) -> None:
        if not self.quiet:
            say(line)

    def _say_notes(self) -> None:
        if not self.split.unlabelled:
            self._say("note: there are no unlabelled scans, so there is no round after round 0")
        if not self.registers:
            self._say("note: one scan alone cannot be registered, so only the segmentation network is trained")

    def _stage(self, number: int, kind: Kind, used: tuple[str, ...], store: MaskStore | None) -> None:
        folder = self.stage_folder(number, kind)
        steps = self.lengths[number, kind]
        title = f"round {number} {kind}"
        if not Run(folder).finished:
            self._say(f"round {number} of {self.rounds}: {kind}, {steps} steps{self._time_left(number, kind)}")
        masks: SoftMasks | None = None if store is None else store.cut
        if kind == "registration" and store is not None and not used:
            used, masks = self.split.unlabelled, None  # no mask can be trusted, but images are still images
        train_stage(
            folder,
            store=self.store,
            split=self._split(kind, used),
            plan=self.whole_plan if kind == "registration" else self.plan,
            settings=stage_settings(self.settings, kind, round_number=number, steps=steps),
            fabric=self.fabric,
            title=title,
            initial=self.stage_folder(number - 1, kind) / MODEL_NAME if number else None,
            masks=masks,
            quiet=self.quiet,
        )

    def _time_left(self, number: int, kind: Kind) -> str:
        left = seconds_left(self.run.folder, self.lengths, at=(number, kind))
        return "" if left is None else f", about {clock(left)} left for all rounds"

    def _split(self, kind: Kind, used: tuple[str, ...]) -> Split:
        changes: dict[str, Any] = {"unlabelled": used}
        if kind == "registration" and len(self.split.validation) < 2:
            changes["validation"] = ()  # registration is validated on pairs
        return self.split.model_copy(update=changes)

    def _used(self, store: MaskStore) -> tuple[str, ...]:
        """Return the unlabelled scans that this round trains on."""
        if self.hyper.mode == "average":
            return store.ids
        used = agreeing(
            store.records,
            dice=self.hyper.agreement_dice,
            least_dice=self.hyper.agreement_least,
            quota=self.hyper.agreement_quota * (store.round_number + 1),
        )
        self._say(f"round {store.round_number}: the halves of {len(used)} of {len(store.ids)} scans agree")
        return tuple(used)

    def _masks(self, number: int) -> MaskStore:
        """Make the masks of a round, or what is left of them, and draw a few."""
        folder = self.stage_folder(number, "masks")
        cases = [self.store.case(case_id) for case_id in self.split.unlabelled]
        main = self.fabric.is_global_zero
        if not MaskStore.is_finished(folder) or not (folder / PLANES).is_file():
            time_left = self._time_left(number, "segmentation")
            self._say(f"round {number} of {self.rounds}: pseudo-masks of {len(cases)} scans{time_left}")
            maker = self._maker(number)
            if not MaskStore.is_finished(folder):
                rank, ranks = self.fabric.global_rank, self.fabric.world_size
                maker.make(folder, cases, rank=rank, ranks=ranks, quiet=self.quiet)
                self.fabric.barrier()
                if main:
                    details = {"round": number, "views": [view.name for view in maker.network.views]}
                    shards = [[case.id for case in shard] for shard in maker.shards(cases)]
                    finish_store(folder, shards, details, ranks=ranks)
                self.fabric.barrier()
            if main:
                write_planes(folder, maker, MaskStore(folder), cases)
        picture = self.run.folder / "rounds" / f"round_{number}.png"
        if main and not picture.is_file():
            draw(picture.parent, [self.stage_folder(k, "masks") for k in range(1, number + 1)])
        self.fabric.barrier()
        return MaskStore(folder)

    def _maker(self, number: int) -> MaskMaker:
        device = self.fabric.device
        dtype = resolve_precision(self.settings.precision, device)
        layout = best_layout(self.plan.dimensions, device, dtype)
        network = self._combined(number - 1).to(device).to(memory_format=layout).eval()  # type: ignore[call-overload]
        return MaskMaker(
            network=network,
            placed=network.atlases.on(self.grid),
            device=device,
            dtype=dtype,
            seed=self.settings.seed,
            round_number=number,
            previous=MaskStore(self.stage_folder(number - 1, "masks")) if number > 1 else None,
            guard=self.hyper.guard,
        )

    def _combined(self, number: int) -> Combined:
        """Return both networks after a round, with the annotated scans."""
        segmentation, spec = load_model(self.stage_folder(number, "segmentation"))
        registration, registration_spec = load_model(self.stage_folder(number, "registration"))
        cases = [self.store.case(case_id) for case_id in self.split.labelled]
        atlases, spacing_mm = Atlases.of(whole_scan(case, self.grid) for case in cases), patch_spacing_mm(self.plan)
        options = CombinedOptions(
            atlases=len(atlases),
            size=self.grid,
            segmentation=spec.network,
            registration=registration_spec.network,
            patch_size=self.plan.patch_size,
            sources=self.hyper.atlases,
            views=self.hyper.views,
            segmentation_share=self.hyper.segmentation_share,
            flip_axes=mirrored_axes(self.settings.augmentation, self.plan.dimensions),
            turn_planes=turned_planes(self.settings.augmentation, self.plan.patch_size, spacing_mm),
            rotation_degrees=self.hyper.rotation_degrees,
            spacing_mm=spacing_mm,
        )
        return Combined(segmentation, registration, atlases, classes=self.plan.class_count, options=options)

    def _write_records(self, history: list[RoundRecord]) -> None:
        if self.fabric.is_global_zero:
            gather_logs(self.run.folder, history)
        self.fabric.barrier()

    def _write_models(self, history: list[RoundRecord]) -> None:
        from fewscan.pictures.curves import save_learning_curves
        from fewscan.training.log import read_log

        folder, last = self.run.folder, history[-1].round
        best = max(
            (r for r in history if r.best_dice is not None), key=lambda r: (r.best_dice or 0, -r.round), default=None
        )
        for number, is_best in ((last, False), *(() if best is None else ((best.round, True),))):
            network, spec = load_model(self.stage_folder(number, "segmentation"))  # validated at its end alone
            spec = self._of_the_run(spec, number)
            if self.registers:
                combined = self._combined(number)
                save_model(folder / model_name(COMBINED, best=is_best), combined, self._of_both(combined, spec))
            save_model(folder / model_name(best=is_best), network, spec)
        if self.registers:
            registration, registration_spec = load_model(self.stage_folder(last, "registration"))
            save_model(folder / REGISTRATION_NAME, registration, registration_spec)
        save_learning_curves(folder / "curves.png", read_log(folder / "log.jsonl"))
        summary = self.run.summary | {
            "state": "finished",
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "training_seconds": round(sum(sum(record.seconds.values()) for record in history), 1),
            "peak_memory_mib": round(peak_memory_mib(self.fabric.device), 1),
            "best_validation": {} if best is None else {"round": best.round, "mean_dice": best.best_dice},
        }
        write_json(folder / "run.json", summary)

    def _of_the_run(self, spec: ModelSpec, number: int) -> ModelSpec:
        """Return what the model file of a segmentation network says, after a round of the run instead of a stage."""
        details = {
            **spec.details,
            "iterations": self.settings.iterations,
            "hyper": self.settings.hyper,
            "rounds": number,
            "labelled": list(self.split.labelled),
            "unlabelled": sorted(self.split.unlabelled),  # a round may train on some of them
            "seed": self.settings.seed,
        }
        return spec.model_copy(update={"method": self.settings.method, "details": details})

    def _of_both(self, combined: Combined, spec: ModelSpec) -> ModelSpec:
        """Return what the model file of both networks says, given that of the segmentation network."""
        wide = self.plan.model_copy(update={"patch_size": self.grid})
        # it has views of its own, and atlases that a mirrored scan would not fit
        details = spec.details | {"flip_axes": []}
        return spec.model_copy(update={"plan": wide, "network": combined_spec(combined.options), "details": details})
