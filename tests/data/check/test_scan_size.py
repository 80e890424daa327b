from fewscan.data.check.problem import Source
from fewscan.data.check.scan_size import check_memory, check_scan_size, forecast_bytes

SOURCE = Source(case_id="one")


def test_fault_25_volume_of_one_slice(codes):
    assert codes(check_scan_size((64, 64, 1), SOURCE)) == ["note one-slice"]


def test_fault_25_two_dimensional_image_is_no_problem():
    assert check_scan_size((64, 64), SOURCE) == []


def test_fault_26_small_volume(codes):
    problems = check_scan_size((64, 64, 7), SOURCE)
    assert codes(problems) == ["note small-volume"]
    assert "64 x 64 x 7" in problems[0].message
    assert check_scan_size((8, 8, 8), SOURCE) == []


def test_fault_27_forecast_of_a_huge_volume(codes):
    # 1000^3 voxels, 2 channels, 16 bytes each: 32e9 bytes = 29.8 GiB
    assert forecast_bytes((1000, 1000, 1000), 2) == 32 * 10**9
    problems = check_memory((1000, 1000, 1000), 2, 8 * 2**30, SOURCE)
    assert codes(problems) == ["warning huge-volume"]
    assert "about 29.8 GiB to prepare, and 8 GiB are free" in problems[0].message
    assert check_memory((1000, 1000, 1000), 2, 32 * 10**9, SOURCE) == []
