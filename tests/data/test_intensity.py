import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewscan.data.intensity import normalise_channel, require_content
from fewscan.data.plan import Preparation
from fewscan.errors import DataError


def normalise(values, **options):
    return normalise_channel(np.asarray(values, np.float32), Preparation(**{"clip_percentiles": None, **options}))


def test_zscore_over_nonzero_voxels():
    # non-zero: 2, 4, 6: mean 4, variance (4 + 0 + 4) / 3 = 8/3; zero becomes -4 / sqrt(8/3) = -2.449490
    result, background = normalise([0, 0, 2, 4, 6])
    assert result == pytest.approx([-2.449490, -2.449490, -1.224745, 0.0, 1.224745], abs=1e-5)
    assert background == pytest.approx(-2.449490, abs=1e-5)
    assert result.dtype == np.float32


def test_a_scan_without_any_content_is_refused():
    seen = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(DataError, match="case a: its image is constant"):
        require_content(seen, case_id="a")
    seen[1, 2, 3] = 1  # a channel that is missing in a clinic is often filled with zeros
    require_content(seen, case_id="a")


def test_clip_comes_before_normalisation():
    # values 1..100 and an outlier; the 99th percentile of 101 values is the 100th smallest (index 99): 100
    values = np.append(np.arange(1, 101), 10_000)
    result, _ = normalise(values, clip_percentiles=(0, 99))
    clipped = np.append(np.arange(1, 101), 100).astype(float)
    assert result == pytest.approx((clipped - clipped.mean()) / clipped.std(), abs=1e-5)


def test_percentiles_count_zeros():
    # 90 zeros and 1..10: the 95th percentile of 100 values lies at position 94.05, between 5 and 6: 5.05
    values = np.append(np.zeros(90), np.arange(1, 11))
    result, background = normalise(values, clip_percentiles=(0, 95), normalisation="none")
    assert result.max() == pytest.approx(5.05)
    assert background == 0.0


def test_minmax():
    result, background = normalise([5, 10, 15], normalisation="minmax")
    assert result.tolist() == [0.0, 0.5, 1.0]
    assert background == 0.0  # zero is darker than anything in the scan, so padding takes the darkest value


def test_ct_takes_all_voxels_and_pads_with_air():
    # all: -1000, 0, 0, 1000: mean 0, deviation sqrt(2e6 / 4) = 707.107
    result, background = normalise([-1000, 0, 0, 1000], over="all")
    assert result == pytest.approx([-1.414214, 0, 0, 1.414214], abs=1e-5)
    assert background == pytest.approx(-1.414214, abs=1e-5)


def test_zero_inside_a_signed_range_stays_the_background():
    _, background = normalise([-2, -1, 0, 3], normalisation="none")
    assert background == 0.0


@pytest.mark.parametrize("normalisation", ["zscore", "minmax", "none"])
@pytest.mark.parametrize("over", ["nonzero", "all"])
@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
def test_constant_channels_give_numbers(normalisation, over, value):
    result, background = normalise(np.full((3, 3), value), normalisation=normalisation, over=over)
    expected = value if normalisation == "none" else 0.0
    assert (result == expected).all()
    assert background == expected


def test_mask_like_channel_falls_back_to_all_voxels():
    # the non-zero voxels are all alike, so mean and deviation come from 0, 0, 8, 8: 4 and 4
    result, background = normalise([0, 0, 8, 8])
    assert result.tolist() == [-1, -1, 1, 1]
    assert background == -1


@given(
    arrays(np.float32, (4, 5), elements=st.floats(-1e4, 1e4, width=32)),
    st.sampled_from(["zscore", "minmax", "none"]),
    st.sampled_from(["nonzero", "all"]),
)
@settings(max_examples=25, deadline=None)
def test_always_finite_and_background_within_range(values, normalisation, over):
    before = values.copy()
    result, background = normalise(values, clip_percentiles=(1, 99), normalisation=normalisation, over=over)
    assert np.isfinite(result).all()
    assert result.min() <= background <= result.max()
    assert (values == before).all()
