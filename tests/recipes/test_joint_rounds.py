"""Whole runs of the joint framework: what each stage sees, what is left on disk, and going on after an interruption."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch

from fewscan.data.prepared import PreparedStore
from fewscan.errors import InterruptedRunError, UsageError
from fewscan.inference.model_file import load_model
from fewscan.inference.predict import predict
from fewscan.methods.pseudo_supervised import PseudoSupervised
from fewscan.methods.registration import Registration
from fewscan.recipes import joint_rounds, pseudo_masks
from fewscan.recipes.mask_store import MaskStore
from fewscan.registration.register import register
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.run import Run, train

STAGES = [
    *("0-segmentation", "0-registration"),
    *(f"{number}-{kind}" for number in (1, 2) for kind in ("masks", "segmentation", "registration")),
]


def _models(run):
    names = [f"model{name}.safetensors" for name in ("", "_combined", "_best", "_combined_best")]
    return [load_model(run.folder / name)[0].state_dict() for name in names]


def _same_run(first, second):
    for a, b in zip(_models(first), _models(second), strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    for number in (1, 2):
        one, other = (MaskStore(run.folder / "stages" / f"{number}-masks") for run in (first, second))
        assert all(np.array_equal(one.mask(case_id), other.mask(case_id)) for case_id in one.ids)
        assert one.records == other.records
    logs = [
        [(r["step"], r["stage"], r["loss"]) for r in read_log(run.folder / "log.jsonl") if r["kind"] == "step"]
        for run in (first, second)
    ]
    assert logs[0] == logs[1]


def test_every_stage_is_an_ordinary_run_and_the_run_has_the_models_of_the_last_and_the_best_round(finished):
    assert sorted(path.name for path in (finished.folder / "stages").iterdir()) == sorted(STAGES)
    for name in STAGES:
        if not name.endswith("masks"):
            assert Run(finished.folder / "stages" / name).finished
            assert load_model(finished.folder / "stages" / name)
    methods = [Run(finished.folder / "stages" / f"{k}-segmentation").settings.method for k in range(3)]
    assert methods == ["mean_teacher", "pseudo_supervised", "pseudo_supervised"]
    assert finished.finished
    assert finished.summary["training_seconds"] >= 0
    last = load_model(finished.folder / "stages" / "2-segmentation")[0].state_dict()
    assert all(torch.equal(value, last[key]) for key, value in _models(finished)[0].items())
    best = finished.summary["best_validation"]["round"]
    chosen = load_model(finished.folder / "stages" / f"{best}-segmentation")[0].state_dict()
    laid = load_model(finished.folder / "stages" / f"{best}-registration")[0].state_dict()
    for name, prefix in (("best", ""), ("combined_best", "segmentation.")):
        network, spec = load_model(finished.folder / f"model_{name}.safetensors")
        assert spec.details["rounds"] == best
        assert all(torch.equal(network.state_dict()[prefix + key], value) for key, value in chosen.items())
    assert all(torch.equal(network.state_dict()["registration." + key], value) for key, value in laid.items())
    names = {path.name for path in (finished.folder / "rounds").iterdir()}
    assert names == {"round_1.png", "round_2.png", "strip.png"}


def test_steps_of_all_stages_add_up_and_the_log_counts_on(finished):
    records = read_log(finished.folder / "log.jsonl")
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(12))
    rounds = [record for record in records if record["kind"] == "round"]
    assert rounds == [
        {"kind": "round", "step": step, **record}
        for step, record in zip((3, 7, 11), json.loads((finished.folder / "rounds.json").read_text()), strict=True)
    ]
    assert [record["scans"] for record in rounds] == [3, 3, 3]
    assert rounds[0]["entropy"] is None
    assert 0 < rounds[1]["entropy"] < 1
    assert 0 <= rounds[1]["disagreement"] <= 1
    assert all(0 <= record["mean_dice"] <= 1 for record in rounds)
    assert set(rounds[1]["seconds"]) == {"masks", "segmentation", "registration"}
    terms = {r["stage"] + str(r["round"]): list(r["terms"]) for r in records if r["kind"] == "step"}
    assert terms["segmentation0"] == ["supervised", "consistency"]
    assert terms["segmentation1"] == ["supervised", "pseudo", "pseudo_cross_entropy"]
    assert terms["registration0"] == ["similarity", "labels", "smoothness"]


def test_rates_are_lower_in_later_rounds_and_weights_go_on(finished):
    first, later = (Run(finished.folder / "stages" / f"{k}-segmentation").settings for k in (0, 1))
    assert later.optimiser.learning_rate == pytest.approx(0.5 * first.optimiser.learning_rate)
    weights = [load_model(finished.folder / "stages" / f"{k}-segmentation")[0].state_dict() for k in range(3)]
    name = next(iter(weights[0]))
    moves = [float((b[name] - a[name]).abs().max()) for a, b in pairwise(weights)]
    assert all(0 < move < 0.02 for move in moves)


@pytest.mark.parametrize("stop_at", [1, 3, 6, 9])
def test_a_power_cut_at_any_step_costs_nothing(stop_at, finished, flat_store, train_joint, tmp_path, monkeypatch):
    """Steps 0 to 3 belong to round 0, 4 to 7 to round 1; each stage has two."""
    original, taken = Training._step, []

    def failing(self, step, patches):
        taken.append(step)
        if len(taken) == stop_at + 1:
            raise RuntimeError("power cut")
        return original(self, step, patches)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_step", failing)
        with pytest.raises(RuntimeError, match="power cut"):
            train_joint(flat_store, tmp_path / "run", validation=1)
    train_joint(flat_store, tmp_path / "run", resume=True)
    _same_run(finished, Run(tmp_path / "run"))


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        (pseudo_masks, "write_shard", 4),
        (joint_rounds, "finish_store", 1),
        (joint_rounds, "write_planes", 0),
        (joint_rounds, "combined_spec", 0),
    ],
)
def test_a_power_cut_between_the_steps_costs_nothing(
    module, name, after, finished, flat_store, train_joint, tmp_path, monkeypatch
):
    original, calls = getattr(module, name), []

    def failing(*args, **options):
        calls.append(args)
        if len(calls) > after:
            raise RuntimeError("power cut")
        return original(*args, **options)

    monkeypatch.setattr(pseudo_masks, "SHARD_VOXELS", 1)  # every scan has a file of its own
    with monkeypatch.context() as patched:
        patched.setattr(module, name, failing)
        with pytest.raises(RuntimeError, match="power cut"):
            train_joint(flat_store, tmp_path / "run", validation=1)
    train_joint(flat_store, tmp_path / "run", resume=True)
    for number in (1, 2):
        assert len(MaskStore(tmp_path / "run" / "stages" / f"{number}-masks").details["shards"]) == 3
    assert Run(tmp_path / "run").finished


def test_a_shard_that_was_written_is_not_made_again(flat_store, train_joint, tmp_path, monkeypatch):
    monkeypatch.setattr(pseudo_masks, "SHARD_VOXELS", 1)
    one_round = {"hyper.rounds": 1, "iterations": 8}
    train_joint(flat_store, tmp_path / "whole", settings=one_round)
    original, written = pseudo_masks.write_shard, []

    def note(path, *args, **options):
        if len(written) == 2:
            raise RuntimeError("power cut")
        original(path, *args, **options)
        written.append(path.name)

    with monkeypatch.context() as patched:
        patched.setattr(pseudo_masks, "write_shard", note)
        with pytest.raises(RuntimeError, match="power cut"):
            train_joint(flat_store, tmp_path / "run", settings=one_round)
    folder = tmp_path / "run" / "stages" / "1-masks"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert sorted(before) == written
    train_joint(flat_store, tmp_path / "run", resume=True)
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    one, other = (MaskStore(tmp_path / name / "stages" / "1-masks") for name in ("whole", "run"))
    assert all(np.array_equal(one.mask(case_id), other.mask(case_id)) for case_id in one.ids)


def test_a_polite_stop_while_masks_are_made(flat_store, train_joint, tmp_path, monkeypatch):
    class Stopped:
        requested = True

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

    with monkeypatch.context() as patched:
        patched.setattr(pseudo_masks, "StopRequest", Stopped)
        with pytest.raises(InterruptedRunError, match="pseudo-masks"):
            train_joint(flat_store, tmp_path / "run")
    assert (tmp_path / "run" / "stages" / "1-masks" / "masks-0000.safetensors").is_file()


def test_true_labels_train_labelled_scans_and_soft_masks_the_others(flat_store, train_joint, tmp_path, monkeypatch):
    """Label files of unlabelled scans are spoilt: whoever opened one would fail."""
    store, original = tmp_path / "store", {cls: cls.loss for cls in (PseudoSupervised, Registration)}
    shutil.copytree(flat_store, store)
    run = tmp_path / "run"
    labelled = {"scan0", "scan1"}
    for path in store.rglob("*.npy"):
        if ("label" in path.name or "foreground" in path.name) and not any(
            path.parent.name.startswith(name) for name in labelled
        ):
            path.write_bytes(b"spoilt")
    seen = []

    def loss(self, batch, step):
        seen.append((type(self).__name__, batch))
        return original[type(self)](self, batch, step)

    for cls in original:
        monkeypatch.setattr(cls, "loss", loss)
    train_joint(store, run, labelled=sorted(labelled), settings={"augmentation": "none"})
    truth, prepared = {}, PreparedStore(store)
    for name in labelled:
        truth[name] = prepared.case(name).label()
    with_masks = [(kind, batch) for kind, batch in seen if batch.unlabelled_masks is not None]
    assert {kind for kind, _ in with_masks} == {"PseudoSupervised", "Registration"}
    assert len(with_masks) == 8
    for _, batch in with_masks:
        assert set(batch.cases) == labelled
        for name, label in zip(batch.cases, batch.labels, strict=True):
            assert torch.bincount(label.flatten(), minlength=3).tolist()[1:] == [
                int((truth[name] == k).sum()) for k in (1, 2)
            ]
        assert not set(batch.unlabelled_cases) & labelled
        masks = batch.unlabelled_masks
        assert masks.shape == (len(batch.unlabelled), 3, *batch.unlabelled.shape[2:])
        assert torch.allclose(masks.sum(1), torch.ones(()), atol=2e-3)
        assert ((masks > 0.05) & (masks < 0.95)).any()  # soft


def test_without_unlabelled_scans_it_is_round_0(flat_store, train_joint, tmp_path, capsys):
    run = train_joint(flat_store, tmp_path / "run", labelled=6, quiet=False, settings={"augmentation.flip_axes": [0]})
    assert "no unlabelled scans" in capsys.readouterr().out
    # test-time views of the combined model would flip a scan away from its atlases
    flips = [load_model(run.folder / f"model{name}.safetensors")[1].details["flip_axes"] for name in ("", "_combined")]
    assert flips == [[0], []]
    assert sorted(path.name for path in (run.folder / "stages").iterdir()) == ["0-registration", "0-segmentation"]
    assert (run.folder / "model_combined.safetensors").is_file()
    alone = train(
        flat_store,
        tmp_path / "alone",
        method="mean_teacher",
        labelled=6,
        quiet=True,
        device="cpu",
        settings={
            **{
                key: value
                for key, value in run.settings.model_dump(mode="json").items()
                if key not in ("method", "hyper")
            },
            "iterations": 6,
        },
    )
    first, second = (load_model(each.folder)[0].state_dict() for each in (run, alone))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_one_scan_alone(volume_store, train_joint, tmp_path, capsys):
    run = train_joint(
        volume_store, tmp_path / "run", labelled=["scan0"], test=[f"scan{k}" for k in range(1, 6)], quiet=False
    )
    assert "one scan alone cannot be registered" in capsys.readouterr().out
    assert Run(run.folder / "stages" / "0-segmentation").settings.iterations == run.settings.iterations
    assert not (run.folder / "model_combined.safetensors").exists()


@pytest.mark.parametrize("mode", ["average", "agreement"])
def test_one_labelled_volume(mode, volume_store, train_joint, tmp_path):
    run = train_joint(volume_store, tmp_path / "run", labelled=1, settings={"hyper.mode": mode, "hyper.rounds": 1})
    network, spec = load_model(run.folder / "model_combined.safetensors")
    assert len(network.atlases) == 1
    assert spec.details["labelled"] == list(run.split.labelled)
    views = MaskStore(run.folder / "stages" / "1-masks").details["views"]
    assert views == ["identity", "gamma 0.8", "gamma 1.25"]  # nothing is resampled in 3-D


def test_volumes_are_viewed_as_training_turned_them(volume_store, train_joint, tmp_path):
    settings = {"augmentation": "flips", "patch_size": [8, 8, 8], "hyper.rounds": 1, "hyper.views": 4}
    run = train_joint(volume_store, tmp_path / "run", settings=settings)
    views = MaskStore(run.folder / "stages" / "1-masks").details["views"]
    assert views == ["identity", "flip 0", "turn 0-1 by 90", "gamma 0.8"]


def test_only_agreeing_scans_are_used_and_none_is_no_failure(flat_store, train_joint, tmp_path):
    gate = {"hyper.mode": "agreement", "hyper.agreement_least": 0.0, "hyper.agreement_quota": 0.25}
    run = train_joint(flat_store, tmp_path / "quota", settings=gate)
    rounds = json.loads((run.folder / "rounds.json").read_text())
    assert [record["scans"] for record in rounds] == [4, 2, 3]  # 4 * 0.25 * (round + 1)
    assert len(Run(run.folder / "stages" / "1-segmentation").split.unlabelled) == 2
    strict = {"hyper.rounds": 1, "hyper.mode": "agreement", "hyper.agreement_least": 1.0, "hyper.agreement_dice": 1.0}
    run = train_joint(flat_store, tmp_path / "strict", settings=strict)
    assert [record["scans"] for record in json.loads((run.folder / "rounds.json").read_text())] == [4, 0]
    assert len(Run(run.folder / "stages" / "1-registration").split.unlabelled) == 4  # images are still images


def test_both_predictors_segment_files(finished, flat_store, tmp_path):
    scans = flat_store.parent / "data" / "imagesTr"
    for name in (None, "joint", "combined", "best", "combined_best"):
        paths = predict(finished.folder, scans, tmp_path / str(name), predictor=name, confidence=True, device="cpu")
        assert len(paths) == 6
    records = {name: json.loads((tmp_path / name / "prediction.json").read_text()) for name in ("joint", "combined")}
    assert records["combined"]["model"].endswith("model_combined.safetensors")
    # whole scans have no windows; how many views and sources it averages is in the options of the network
    assert [record["settings"]["overlap"] for record in records.values()] == [0.5, None]
    assert records["combined"]["network"]["options"]["views"] == 3
    with pytest.raises(UsageError, match="'combined'"):
        predict(finished.folder, scans, tmp_path / "x", predictor="combind", device="cpu")


def test_its_registration_network_registers_files(finished, flat_store, tmp_path):
    scans = sorted((flat_store.parent / "data" / "imagesTr").iterdir())
    done = register(finished.folder, moving=scans[0], fixed=scans[1], out=tmp_path / "registered", device="cpu")
    assert len(done.reports) == 1
    last, _ = load_model(finished.folder / "stages" / "2-registration")
    kept, spec = load_model(finished.folder / "model_registration.safetensors")
    assert spec.method == "registration"
    assert all(torch.equal(a, b) for a, b in zip(last.state_dict().values(), kept.state_dict().values(), strict=True))


def test_it_stops_when_validation_levels_off(flat_store, train_joint, tmp_path, capsys):
    settings = {"hyper.patience": 1, "optimiser.learning_rate": 1e-9, "optimiser.clip_gradient_norm": 1e-6}
    run = train_joint(flat_store, tmp_path / "run", validation=2, settings=settings, quiet=False)
    assert "levelled off" in capsys.readouterr().out
    assert not (run.folder / "stages" / "2-segmentation").exists()
    assert (run.folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"iterations": 4}, "cannot be divided among 6 stages"),
        ({"hyper.registration.network.options.filterz": [4]}, "filterz"),
    ],
)
def test_what_cannot_work_is_refused_before_scans_are_prepared(wrong, text, flat_store, train_joint, tmp_path):
    data, run = flat_store.parent / "data", tmp_path / "run"
    with pytest.raises(UsageError, match=text):
        train_joint(data, run, settings=wrong)
    assert not (run / "store").exists()
    train_joint(data, run, settings={"hyper.rounds": 0, "iterations": 2})  # the corrected command finds no half run


@pytest.mark.parametrize("wrong", [{"lambdas": [1, 2, 3]}, {}])
def test_what_the_registration_would_refuse_is_refused_before_the_segmentation_is_trained(
    wrong, flat_store, train_joint, tmp_path, monkeypatch
):
    if not wrong:
        monkeypatch.setattr("fewscan.training.whole_scans.OVERHEAD", 1e15)
    settings = {f"hyper.registration.loss.{key}": value for key, value in wrong.items()}
    with pytest.raises(UsageError, match="one per level" if wrong else "GiB of memory"):
        train_joint(flat_store, tmp_path / "run", settings=settings)
    assert not (tmp_path / "run" / "stages").exists()


def test_the_strip_is_not_lost_with_a_power_cut(flat_store, train_joint, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("fewscan.recipes.joint_pictures.save_round", _power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train_joint(flat_store, tmp_path / "run", pictures=True)
    train_joint(flat_store, tmp_path / "run", resume=True, pictures=True)
    whole = train_joint(flat_store, tmp_path / "whole", pictures=True)
    strips = [(folder / "rounds" / "strip.png").read_bytes() for folder in (tmp_path / "run", whole.folder)]
    assert strips[0] == strips[1]


def _power_cut(*args, **options):
    raise RuntimeError("power cut")


def test_slices_of_volumes_are_refused(volume_store, train_joint, tmp_path):
    data = volume_store.parent / "data"
    with pytest.raises(UsageError, match="slice by slice"):
        train_joint(data, tmp_path / "run", planning={"dimensions": 2})
