import nibabel as nib
import numpy as np
import pytest

from fewscan.data.check.nifti_header import (
    check_nifti_header,
    header_affine,
    parse_nifti_header,
    read_nifti_header,
    right_angle_error_deg,
)
from fewscan.data.check.problem import Source
from fewscan.data.image_io import read_geometry

SOURCE = Source(case_id="one", file="scan.nii.gz")


def header_of(shape=(9, 9, 9), dtype="<i2", affine=None, **fields):
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header["datatype"] = nib.nifti1.data_type_codes.code[np.dtype(dtype)]
    header["pixdim"][1:4] = 1
    header.set_sform(np.eye(4) if affine is None else affine, 1)
    header["scl_slope"], header["scl_inter"] = 1, 0
    for name, value in fields.items():
        header[name] = value
    return header


def turned(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def test_plain_header_has_no_problem():
    assert check_nifti_header(header_of(), SOURCE) == []


def test_fault_18_zero_spacing(codes):
    header = header_of()
    header["pixdim"][3] = 0
    problems = check_nifti_header(header, SOURCE)
    assert codes(problems) == ["error zero-spacing"]
    assert "1 x 1 x 0 mm" in problems[0].message


@pytest.mark.parametrize("affine", [np.diag([1, 1, 0, 1.0]), np.diag([1, 1, np.nan, 1.0]), np.ones((4, 4))])
def test_fault_18_singular_affine(codes, affine):
    assert codes(check_nifti_header(header_of(affine=affine), SOURCE)) == ["error singular-affine"]


def test_fault_19_sheared_affine(codes):
    affine = np.eye(4)
    affine[0, 1] = np.tan(np.radians(10))  # the y axis leans by 10 degrees
    problems = check_nifti_header(header_of(affine=affine), SOURCE)
    assert codes(problems) == ["error sheared-affine"]
    assert "10 degrees off a right angle" in problems[0].message
    assert "--fix-geometry" in problems[0].mend
    assert right_angle_error_deg(affine[:3, :3]) == pytest.approx(10)


@pytest.mark.parametrize("degrees", [0.01, 17, 45, 90])
def test_fault_20_oblique_affine_is_no_problem(degrees):
    assert check_nifti_header(header_of(affine=turned(degrees)), SOURCE) == []


def test_fault_21_anisotropic_voxels_are_no_problem():
    header = header_of(affine=turned(20) @ np.diag([0.5, 0.5, 5, 1]))
    header["pixdim"][1:4] = 0.5, 0.5, 5
    assert check_nifti_header(header, SOURCE) == []


def test_fault_22_undeclared_time_series(codes):
    problems = check_nifti_header(header_of((9, 9, 9, 20)), SOURCE)
    assert codes(problems) == ["error time-series"]
    assert "20 volumes" in problems[0].message
    assert "four_to_three" in problems[0].mend


def test_fault_22_declared_channels_are_no_problem(codes):
    header = header_of((9, 9, 9, 4))
    assert check_nifti_header(header, SOURCE, declared_volumes=4) == []
    assert codes(check_nifti_header(header, SOURCE, declared_volumes=2)) == ["error time-series"]


def test_fault_23_vector_image(codes):
    assert codes(check_nifti_header(header_of((9, 9, 9, 1, 3)), SOURCE)) == ["error vector-image"]


def test_fault_24_trailing_axis_of_length_one(codes):
    assert codes(check_nifti_header(header_of((9, 9, 9, 1)), SOURCE)) == ["note trailing-axis"]


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [
        (0, 0, []),
        (0, 5, ["note bad-scaling"]),
        (np.nan, 0, ["warning bad-scaling"]),
        (1, np.inf, ["warning bad-scaling"]),
        (2, -1024, []),
    ],
)
def test_fault_31_scaling(codes, slope, inter, expected):
    assert codes(check_nifti_header(header_of(scl_slope=slope, scl_inter=inter), SOURCE)) == expected


@pytest.mark.parametrize("dtype", ["<u1", "<i2", "<u2", "<i4", "<i8", "<f4", "<f8"])
def test_fault_31_real_voxel_types_are_no_problem(dtype):
    assert check_nifti_header(header_of(dtype=dtype), SOURCE) == []


def test_fault_31_complex_and_colour(codes):
    assert codes(check_nifti_header(header_of(dtype="<c8"), SOURCE)) == ["error complex-image"]
    colour = header_of(datatype=128)  # RGB24
    assert codes(check_nifti_header(colour, SOURCE)) == ["error colour-image"]


def test_unknown_voxel_type_and_empty_shape(codes):
    assert codes(check_nifti_header(header_of(datatype=77), SOURCE)) == ["error bad-header"]
    assert codes(check_nifti_header(header_of((9,)), SOURCE)) == ["error bad-header"]


def test_no_orientation_is_noted(codes):
    header = header_of(sform_code=0, qform_code=0)
    assert codes(check_nifti_header(header, SOURCE)) == ["note no-orientation"]
    np.testing.assert_array_equal(header_affine(header), np.eye(4))


@pytest.mark.parametrize("kind", [nib.Nifti1Header, nib.Nifti2Header])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_fault_31_both_versions_and_byte_orders_are_parsed(kind, endianness):
    header = kind(endianness=endianness)
    header.set_data_shape((3, 4, 5))
    parsed = parse_nifti_header(header.binaryblock)
    assert parsed.get_data_shape() == (3, 4, 5)
    assert parsed.endianness == endianness


def test_affine_agrees_with_the_reader(save, voxels):
    affine = turned(30) @ np.diag([1, 2, 3, 1.0])
    affine[:3, 3] = 5, -6, 7
    path = save("oblique.nii.gz", voxels, affine)
    to_ras = np.diag([-1, -1, 1, 1])
    found = to_ras @ read_geometry(path).affine()
    np.testing.assert_allclose(header_affine(read_nifti_header(path)), found, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bnot gzip", b"\x00" * 600])
def test_no_header_is_none(tmp_path, content):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    assert read_nifti_header(path) is None
