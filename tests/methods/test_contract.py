"""What every registered method must do. A new method is tested here by being registered."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fewscan.data.batch import Batch
from fewscan.data.plan import LabelClass, Plan
from fewscan.data.sampling import Patches
from fewscan.inference.model_file import ModelSpec, load_model, save_model
from fewscan.methods.base import Method
from fewscan.methods.registry import method_class, method_names, trainable_class, trainable_names
from fewscan.networks.heads import MultiHead
from fewscan.training.checkpoint import checkpoint_files
from fewscan.training.fabric import make_fabric
from fewscan.training.log import read_log
from fewscan.training.loop import Training
from fewscan.training.second_step import own_parameters
from fewscan.training.settings import resolve_settings
from fewscan.training.start import build_method
from fewscan.training.streams import BatchMaker
from fewscan.training.validation import Validation

PLAN = Plan(
    name="contract",
    dimensions=3,
    image_dimensions=3,
    channels=("MRI",),
    classes=tuple(LabelClass(name=f"class {k}", values=(k,), output=k) for k in range(3)),
    patch_size=(16, 16, 16),
)
PRESETS = ("paper", "recommended")

every_method = pytest.mark.parametrize("name", method_names())
every_one_with_a_segmentation_network = pytest.mark.parametrize(
    "name", [name for name in method_names() if method_class(name).network_kind == "segmentation"]
)
every_one_without_labels = pytest.mark.parametrize(
    "name", [name for name in method_names() if not method_class(name).needs_labels]
)
every_one_with_an_adversary = pytest.mark.parametrize(
    "name", [name for name in method_names() if method_class(name).adversary is not Method.adversary]
)
every_preset = pytest.mark.parametrize("preset", PRESETS)


def unlabelled_terms(terms):
    return [term for term in terms if not term.startswith("supervised")]


def trained_in(method):
    """Return the parameters that the method's own step trains, by name: not those of an adversary."""
    return {
        name: parameter
        for name, parameter in method.named_parameters()
        if parameter.requires_grad and any(parameter is own for own in own_parameters(method))
    }


def gradients(method, value):
    """Return the gradient of one term in every trained parameter; None where it has no part in the term."""
    trained = list(trained_in(method).values())
    return torch.autograd.grad(value, trained, retain_graph=True, allow_unused=True)


def answer_always(method, *, favourite):
    """Make every network of the method sure of one class, whatever it is shown."""
    with torch.no_grad():
        for module in method.modules():
            if isinstance(module, MultiHead):  # -1 within the favourite, 1 within the others
                module.distance.weight.zero_()
                module.distance.bias.fill_(50.0)
                module.distance.bias[favourite - 1] = -50.0
            head = getattr(module, "head", None)
            if head is not None:
                head.weight.zero_()
                head.bias.fill_(-50.0)
                head.bias[favourite] = 50.0
    return method


def with_opinions(method):
    """Make every network of the method sure of some voxels and not of others, as a trained one is."""
    with torch.no_grad():
        for module in method.modules():
            head = getattr(module, "head", None)
            if head is not None:
                head.weight.mul_(5.0)


def total(method, terms, step=5):
    weights = dict.fromkeys(terms, 1.0) | method.weights(step)
    return sum(weights[name] * value for name, value in terms.items())


@pytest.mark.parametrize("name", trainable_names())
def test_says_what_it_is_and_when_to_use_it(name):
    """For `fewscan methods` and the docs; its own words, not those of the method it derives from."""
    cls = trainable_class(name)
    for attribute in ("name", "title", "paper", "equations", "parts", "when", "tuned"):
        assert vars(cls)[attribute].strip(), attribute
    assert cls.name == name
    assert cls.when.endswith(".")
    assert not cls.parts.endswith(".")
    assert "(1)" in (sys.modules[cls.__module__].__doc__ or "")


@every_method
@every_preset
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_gradient_where_it_should_be_and_nowhere_else(name, preset, dimensions, classes, method, batch):
    made = method(name, preset=preset, classes=classes, dimensions=dimensions)
    if made.terms_when_sure:
        with_opinions(made)
    terms = made(batch(classes=classes, dimensions=dimensions), 5)
    assert all(value.ndim == 0 and value.dtype == torch.float32 for value in terms.values())
    assert bool(unlabelled_terms(terms)) == made.uses_unlabelled
    for value in terms.values():
        assert value.item() > 0
        assert any(grad is not None and float(grad.abs().max()) > 0 for grad in gradients(made, value))
    total(made, terms).backward()
    trained = trained_in(made)
    for parameter_name, parameter in made.named_parameters():
        if parameter_name in trained:
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
        else:
            assert parameter.grad is None, parameter_name
    assert trained


@every_one_with_an_adversary
@every_preset
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_second_step_has_a_gradient_in_the_adversary_and_nowhere_else(
    name, preset, dimensions, classes, method, batch
):
    made = method(name, preset=preset, classes=classes, dimensions=dimensions)
    terms = made.adversary_loss(batch(labelled=1, unlabelled=3, classes=classes, dimensions=dimensions), 5)
    total(made, terms).backward()
    trained = trained_in(made)
    for parameter_name, parameter in made.named_parameters():
        if parameter_name in trained:
            assert parameter.grad is None, parameter_name
        else:
            assert torch.isfinite(parameter.grad).all(), parameter_name
    assert any(float(p.grad.abs().max()) > 0 for p in made.adversary().network.parameters())
    assert made.adversary_loss(batch(unlabelled=0, classes=classes, dimensions=dimensions), 5) == {}
    assert all(module.training for module in made.modules())


@every_method
def test_what_follows_is_not_trained_and_moves_after_the_step(name, method, batch):
    """A teacher has no trained parameter, keeps still during the step, and moves when told."""
    made = method(name)
    following = [parameter for parameter in made.parameters() if not parameter.requires_grad]
    before = [parameter.clone() for parameter in following]
    optimiser = torch.optim.SGD(trained_in(made).values(), lr=0.1)
    total(made, made(batch(), 5)).backward()
    optimiser.step()
    assert all(torch.equal(old, new) for old, new in zip(before, following, strict=True))
    made.after_step(5)
    if following:
        assert not all(torch.equal(old, new) for old, new in zip(before, following, strict=True))


@every_method
@every_preset
@pytest.mark.parametrize(("labelled", "unlabelled"), [(1, 3), (3, 1), (2, 2), (1, 1), (2, 0)])
def test_any_composition_of_the_batch(name, preset, labelled, unlabelled, method, batch):
    made = method(name, preset=preset)
    loss = total(made, made(batch(labelled=labelled, unlabelled=unlabelled), 5))
    loss.backward()
    assert torch.isfinite(loss)


@every_one_without_labels
@every_preset
@pytest.mark.parametrize("unlabelled", [2, 3])
def test_no_labelled_scan_at_all(name, preset, unlabelled, method, batch):
    made = method(name, preset=preset)
    terms = made(batch(labelled=0, unlabelled=unlabelled), 5)
    total(made, terms).backward()
    assert terms
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.requires_grad)


@every_method
@every_preset
@pytest.mark.parametrize("label", [0, 2])
def test_patches_without_foreground_and_full_of_it_are_finite(name, preset, label, method, batch):
    given = batch()
    flat = Batch(
        torch.full_like(given.images, 0.3),
        torch.full_like(given.labels, label),
        torch.full_like(given.unlabelled, -0.3),
        given.cases,
        given.unlabelled_cases,
    )
    made = method(name, preset=preset)
    loss = total(made, made(flat, 5))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


@every_one_with_a_segmentation_network
@every_preset
def test_unlabelled_terms_are_zero_when_all_predictions_agree(name, preset, method, batch):
    made, given = answer_always(method(name, preset=preset), favourite=1), batch()
    # the labels agree too: parts of labelled patches may lie in unlabelled ones
    terms = made(given._replace(labels=torch.ones_like(given.labels)), 5)
    for term in set(unlabelled_terms(terms)) - set(made.terms_beyond_agreement):
        assert terms[term].item() == pytest.approx(0, abs=1e-6), term


@every_method
@every_preset
def test_reduced_precision_stays_close(name, preset, method, batch):
    made, given = method(name, preset=preset).eval(), batch()
    torch.manual_seed(1)
    exact = made(given, 5)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(given, 5)
    for term, value in rough.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[term].item(), rel=0.1, abs=1e-4)
    total(made, exact).backward()
    reached = [parameter for parameter in made.parameters() if parameter.grad is not None]
    made.zero_grad()
    total(made, rough).backward()
    assert all(parameter.grad is not None for parameter in reached)  # casts that know of no graph would cut it


@every_method
@every_preset
def test_state_comes_back_and_the_next_step_is_the_same(name, preset, method, batch):
    first, second = method(name, preset=preset, seed=0), method(name, preset=preset, seed=1)
    first.after_step(3)
    second.load_state_dict(first.state_dict())
    results = []
    for made in (first, second):
        torch.manual_seed(4)
        terms = made(batch(), 4)
        loss = total(made, terms)
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in made.parameters() if p.grad is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@every_method
@every_preset
def test_the_network_that_is_kept_can_be_saved_and_loaded(name, preset, method, small_network, tmp_path):
    check_model_file(method(name, preset=preset), small_network, tmp_path)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("co_learning", {"second": {"name": "residual_unet"}}),
        ("co_learning", {"second": {"name": "residual_unet"}, "predict_with": "second"}),
        ("cross_teaching", {"transformer": {"name": "residual_unet"}, "predict_with": "both"}),
    ],
)
def test_so_can_a_second_network_of_another_kind(name, hyper, method, small_network, tmp_path):
    # its levels are fitted to the patch, which the file has to say: five would not divide 16 voxels
    check_model_file(method(name, **hyper), small_network, tmp_path)


def check_model_file(made, small_network, folder):
    """See that each of a method's predictors, written and read, answers as before."""
    own, task = small_network[made.network_kind], made.task
    further = made.further_predictors(own)
    assert set(further) == set(made.predictors)
    images = torch.randn(2, 1, 1, 16, 16, 16)[: 1 if task == "segmentation" else 2]
    for network, built in ((made.predictor(), made.predictor_spec(own)), *further.values()):
        save_model(folder / "model.safetensors", network.eval(), ModelSpec(plan=PLAN, network=built, method=made.name))
        loaded, found = load_model(folder / "model.safetensors")
        with torch.no_grad():
            answers = [
                made(*images) if task == "segmentation" else made.displacement(*images) for made in (loaded, network)
            ]
        assert torch.equal(*answers)
        assert found.method == made.name


def patches_at(step, rank, world_size):
    """Stand in for the two streams."""
    rng = np.random.default_rng(step)
    images = rng.normal(size=(3, 1, 16, 16, 16)).astype(np.float32)
    background = np.zeros((3, 1), np.float32)
    labels = (images[:2, 0] > 0).astype(np.uint8)
    labelled = Patches(images[:2], labels, background[:2], ("a", "b"))
    return labelled, Patches(images[2:], None, background[2:], ("c",))


def training_in(folder, settings, labelled_scans):
    """Return a training of four steps with a validation after two, as `fewscan train` sets it up."""
    cpu, method = torch.device("cpu"), build_method(settings, PLAN)
    method.remember(labelled_scans())
    return Training(
        method=method,
        settings=settings,
        streams=SimpleNamespace(at=patches_at),
        batches=BatchMaker(settings.augmentation, device=cpu, memory_format=torch.contiguous_format, seed=0, rank=0),
        fabric=make_fabric(cpu, torch.float32),
        folder=folder,
        validate=lambda network: Validation({"organ": float(next(network.parameters()).detach().abs().max() > 0)}),
        save_best=lambda network: None,
    )


@every_method
@every_preset
def test_a_run_logs_what_it_adds_up_and_resumes_bit_for_bit(
    name, preset, small_network, small_hyper, labelled_scans, tmp_path
):
    config = {
        "network": small_network[method_class(name).network_kind].model_dump(),
        "hyper": small_hyper(name),
        "iterations": 4,
        "log_every": 1,
        "checkpoint_every": 2,
        "validate_every": 2,
    }
    settings = resolve_settings(method=name, preset=preset, config=config, overrides={})
    whole = training_in(tmp_path, settings, labelled_scans)
    whole.fit()
    for record in read_log(tmp_path / "log.jsonl"):
        if record["kind"] == "step":
            products = sum(term["weight"] * term["value"] for term in record["terms"].values())
            assert record["loss"] == pytest.approx(products, rel=1e-5)
            assert ("adversary" in record) == (whole.method.adversary() is not None)
    checkpoint_files(tmp_path / "checkpoints")[-1].unlink()
    resumed = training_in(tmp_path, settings, labelled_scans)
    assert resumed.resume() == 2
    resumed.fit()
    wanted = whole.method.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in resumed.method.state_dict().items())
