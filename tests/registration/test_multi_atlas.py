"""Atlases that are shifted copies of the target, laid onto it by networks whose answer is known."""

import pytest
import torch
from torch import nn

from fewscan.augment.views import views as make_views
from fewscan.data.boxes import centred_start, cut
from fewscan.data.plan import LabelClass, Plan
from fewscan.data.whole_scan import WholeScan
from fewscan.errors import DataError, UsageError
from fewscan.inference.model_file import ModelSpec, load_model, save_model
from fewscan.inference.predictor import Predictor
from fewscan.networks.registry import NetworkSpec, build_network
from fewscan.registration.atlases import Atlases
from fewscan.registration.multi_atlas import MultiAtlas, MultiAtlasParameters, most_similar, multi_atlas_spec

SIZE = (16, 12)
SMALL = NetworkSpec(name="mrregnet", options={"filters": [4, 8]})


PLAN = Plan(
    name="squares",
    dimensions=2,
    image_dimensions=2,
    channels=("MRI",),
    classes=tuple(LabelClass(name=f"class {k}", values=(k,), output=k) for k in range(2)),
    patch_size=SIZE,
)


class Shift(nn.Module):
    """Answers with one displacement everywhere; keeps how many pairs it was shown at a time."""

    channels = 1

    def __init__(self, *by):
        super().__init__()
        self.by, self.calls = torch.tensor(by), []

    def displacement(self, moving, fixed):
        self.calls.append(len(moving))
        shape = (len(moving), len(self.by), *moving.shape[2:])
        return self.by.reshape(1, -1, *[1] * len(self.by)).expand(shape).clone()


def square(row, *, size=SIZE, noise=0.0, value=1):
    """Return a scan of one square from ``row`` on, whose brightness is its class."""
    label = torch.zeros(size, dtype=torch.uint8)
    label[row : row + 4, 4:8] = value
    image = label[None].float() + noise * torch.randn(1, *size)
    return WholeScan(f"at {row}", image, label, torch.ones(size, dtype=torch.uint8), torch.zeros(1))


def model(scans, network=None, *, classes=2, **hyper):
    return MultiAtlas(
        network or Shift(0.0, 0.0), Atlases.of(scans), classes=classes, hyper=MultiAtlasParameters(**hyper)
    )


def labels_of(logits):
    return logits.softmax(1).argmax(1)


@pytest.mark.parametrize("fusion", ["majority", "average", "local_similarity"])
def test_a_shift_that_fits_gives_the_targets_labels(fusion):
    target = square(6)
    found = model([square(4), square(4)], Shift(-2.0, 0.0), fusion=fusion)(target.image[None])
    assert found.shape == (1, 2, *SIZE)
    assert torch.equal(labels_of(found)[0], target.label.long())
    assert torch.allclose(found.exp().sum(1), torch.ones(1, *SIZE))


@pytest.mark.parametrize("fusion", ["majority", "average"])
def test_logits_are_logarithms_of_the_fused_probabilities(fusion):
    found = model([square(4), square(6), square(6)], fusion=fusion)(square(6).image[None]).softmax(1)[0, 1]
    # rows 4 and 5 are in one of three atlases, 6 and 7 in all, 8 and 9 in two
    assert found[4:10, 5].tolist() == pytest.approx([1 / 3, 1 / 3, 1, 1, 2 / 3, 2 / 3])
    assert found[0, 0] < 1e-30


def test_the_atlas_that_fits_decides():
    """Two wrong atlases outvote the right one, unless similarity counts."""
    scans, target = [square(2), square(2), square(7)], square(7)
    assert torch.equal(labels_of(model(scans, fusion="majority")(target.image[None]))[0], scans[0].label.long())
    assert torch.equal(labels_of(model(scans, fusion="local_similarity")(target.image[None]))[0], target.label.long())


def test_every_image_of_a_batch_is_on_its_own():
    made = model([square(4), square(8)], fusion="local_similarity")
    batch = torch.stack([square(4).image, square(8).image])
    together = made(batch)
    assert torch.equal(together[0], made(batch[:1])[0])
    assert torch.equal(together[1], made(batch[1:])[0])
    assert not torch.equal(*together)


def test_warped_labels_are_those_of_every_atlas():
    scans = [square(4), square(8, value=2)]
    found = model(scans, Shift(1.0, 0.0), classes=3).warped_labels(torch.randn(2, 1, *SIZE))
    assert found.shape == (2, 2, 3, *SIZE)
    assert torch.equal(found[1, 0].argmax(0)[3:7, 4:8], torch.ones(4, 4, dtype=torch.long))
    assert torch.equal(found[0, 1].argmax(0)[7:11, 4:8], torch.full((4, 4), 2))


def test_only_the_most_similar_atlases_are_registered():
    scans, target = [square(0), square(5), square(11), square(6)], square(6)
    placed = Atlases.of(scans).on(SIZE)
    everywhere = torch.ones(1, *SIZE)
    assert most_similar(placed, target.image, everywhere, count=2).tolist() == [1, 3]
    assert most_similar(placed, target.image, everywhere, count=9).tolist() == [0, 1, 2, 3]
    network = Shift(0.0, 0.0)
    model(scans, network, atlases=2)(target.image[None])
    assert sum(network.calls) == 2


def test_padding_of_the_target_does_not_choose_its_atlases():
    """Where it is padded, rows 10 and below, the target looks like the second atlas; its own rows are the first's."""
    first, second = square(5), square(5)
    first.image[0, :2, 4:8] = second.image[0, 10:] = 1
    target, inside = first.image.clone(), torch.ones(1, *SIZE)
    target[0, 10:], inside[0, 10:] = 1, 0
    placed = Atlases.of([first, second]).on(SIZE)
    assert most_similar(placed, target, torch.ones(1, *SIZE), count=1).tolist() == [1]
    assert most_similar(placed, target, inside, count=1).tolist() == [0]


def test_atlases_pass_the_network_a_few_at_a_time(monkeypatch):
    network, scans, target = Shift(0.5, 0.0), [square(k) for k in range(5)], square(6)
    whole = model(scans, network)(target.image[None])
    monkeypatch.setattr("fewscan.registration.multi_atlas.VOXELS_AT_ONCE", 2 * 16 * 12)
    assert torch.equal(model(scans, network)(target.image[None]), whole)
    assert network.calls == [5, 2, 2, 1]


def test_padding_of_an_atlas_has_no_vote():
    """The right atlas ends above row 8: below it only the other one knows anything."""
    short, other = square(4), square(8)
    short.inside[8:] = 0
    found = model([short, other], fusion="average")(square(4).image[None]).softmax(1)[0, 1]
    assert found[8:12, 5].tolist() == pytest.approx([1, 1, 1, 1])
    assert found[5, 5].item() == pytest.approx(0.5)


def test_what_is_read_from_beyond_an_atlas_has_no_vote():
    """The first atlas is shifted by ten rows, so that it knows nothing of row 6 and below."""

    class FirstOnly(Shift):
        def displacement(self, moving, fixed):
            first = moving[:, :1, 4:5, 5:6] > 0.5
            return super().displacement(moving, fixed) * first

    made = model([square(4), square(8)], FirstOnly(10.0, 0.0), fusion="average")
    found = made(square(8).image[None]).softmax(1)[0, 1]
    assert found[8:12, 5].tolist() == pytest.approx([1, 1, 1, 1])


def test_a_larger_target_has_the_atlases_in_its_middle():
    found = labels_of(model([square(6)])(torch.zeros(1, 1, 20, 12)))
    assert found[0, 8:12, 4:8].all()
    assert found.sum() == 16


def test_refinement_corrects_what_the_network_leaves():
    def blob(row):
        axes = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
        image = torch.exp(-((axes[0] - row) ** 2 + (axes[1] - 10) ** 2) / 18)[None]
        return WholeScan("blob", image, (image[0] > 0.5).byte(), torch.ones(20, 20, dtype=torch.uint8), torch.zeros(1))

    target = blob(9)
    still, refined = (
        model([blob(11)], refine_steps=steps, smoothness_weight=0.01)(target.image[None]) for steps in (0, 15)
    )
    wrong = [int((labels_of(found)[0] != target.label).sum()) for found in (still, refined)]
    assert wrong[1] < wrong[0] / 4


@pytest.mark.parametrize(
    "hyper", [{"fusion": "average", "refine_steps": 3}, {"fusion": "local_similarity"}, {"atlases": 1}]
)
def test_what_padding_looks_like_changes_nothing(hyper):
    """Neither refinement, nor fusion, nor the choice of atlases sees it; nor do they where views mirror the scan."""
    scans = [square(row, noise=0.3) for row in (4, 5, 6)]
    target = square(3, size=(11, 9), noise=0.3).image.numpy()
    made = model(scans, Shift(1.0, 0.5), **hyper)
    for views in (1, 4):
        chosen = tuple(make_views(2, views))
        predictor = Predictor(network=made, spec=spec_of(made), device=torch.device("cpu"), views=chosen)
        dark, bright = (predictor.probabilities(target, (value,)) for value in (0.0, 3.0))
        assert torch.equal(dark, bright)


def test_no_atlas_no_prediction():
    empty = MultiAtlas(Shift(0.0), Atlases(0, channels=1, size=SIZE), classes=2, hyper=MultiAtlasParameters())
    with pytest.raises(UsageError, match="without an atlas"):
        empty(torch.zeros(1, 1, *SIZE))


def test_a_field_that_is_not_finite_is_an_error():
    with pytest.raises(DataError, match="displacement is not finite"):
        model([square(4)], Shift(float("nan"), 0.0))(torch.zeros(1, 1, *SIZE))


def test_an_even_window_is_refused():
    with pytest.raises(UsageError, match="odd side"):
        MultiAtlasParameters.parse({"fusion_window": 4}, source="test")


@pytest.fixture
def trained():
    network = build_network(SMALL, dimensions=2, channels=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model([square(4, noise=0.1), square(7, noise=0.1)], network, fusion="average").eval()


def spec_of(made):
    return ModelSpec(plan=PLAN, network=multi_atlas_spec(SMALL, made), method="multi_atlas")


def test_the_model_file_holds_the_atlases(trained, tmp_path):
    save_model(tmp_path / "model.safetensors", trained, spec_of(trained))
    loaded, spec = load_model(tmp_path / "model.safetensors")
    target = torch.randn(1, 1, *SIZE)
    with torch.no_grad():
        assert torch.equal(loaded(target), trained(target))
    assert spec.network.name == "multi_atlas"
    assert spec.network.options["atlases"] == 2


@pytest.mark.parametrize("size", [(9, 12), (16, 12), (23, 15), (10, 31)])
def test_a_scan_of_any_size_is_taken_whole_and_centred(size, trained):
    """One window as large as scan and grid, in which the scan lies as training laid it."""
    predictor = Predictor(network=trained, spec=spec_of(trained), device=torch.device("cpu"))
    image = torch.randn(1, *size).numpy()
    found = predictor.probabilities(image, (0.0,))
    grid = tuple(max(sides) for sides in zip(size, SIZE, strict=True))
    start = centred_start(size, grid)
    with torch.no_grad():
        whole = trained(torch.from_numpy(cut(image, start, grid, torch.zeros(1).numpy()))[None])[0].exp()
    inner = tuple(slice(-first, side - first) for first, side in zip(start, size, strict=True))
    assert torch.allclose(found, whole[(slice(None), *inner)], atol=1e-6)


def test_it_is_built_from_its_options_alone(trained):
    spec = multi_atlas_spec(SMALL, trained)
    made = build_network(spec, dimensions=2, channels=1, classes=2)
    assert isinstance(made, MultiAtlas)
    assert made.state_dict().keys() == trained.state_dict().keys()
    with pytest.raises(UsageError, match="not 3-D"):
        build_network(spec, dimensions=3, channels=1, classes=2)
    with pytest.raises(UsageError, match="atlases: Field required"):
        build_network(NetworkSpec(name="multi_atlas"), dimensions=2, channels=1, classes=2)
