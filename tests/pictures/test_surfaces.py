from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fewscan.pictures.surfaces import Surface, bounds_mm, draw_surfaces, surface, vertex_normals, view_axes


def ball(radius_mm, spacing_mm):
    size = [int(2 * radius_mm / side) + 8 for side in spacing_mm]
    centre_mm = np.array(size) * spacing_mm / 2 + 0.13
    distance = np.sqrt(((np.indices(size).T * spacing_mm - centre_mm) ** 2).sum(-1)).T
    return distance < radius_mm, centre_mm


def area(vertices_mm, faces):
    a, b, c = (vertices_mm[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def volume(vertices_mm, faces):
    a, b, c = (vertices_mm[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def edge_uses(faces):
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return Counter(map(tuple, edges.tolist()))


@pytest.mark.parametrize(("spacing_mm", "tolerance"), [((1, 1, 1), 0.02), ((1, 1.5, 0.7), 0.02), ((0.7, 1, 3), 0.05)])
def test_a_ball_has_its_area_and_volume_and_is_closed(spacing_mm, tolerance):
    radius_mm = 20.0
    mask, centre_mm = ball(radius_mm, np.array(spacing_mm, float))
    vertices_mm, faces = surface(mask, spacing_mm)
    assert area(vertices_mm, faces) == pytest.approx(4 * np.pi * radius_mm**2, rel=tolerance)
    # positive, so that triangles run counter-clockwise seen from outside
    assert volume(vertices_mm, faces) == pytest.approx(4 / 3 * np.pi * radius_mm**3, rel=0.02)
    assert set(edge_uses(faces).values()) == {2}
    outward = (vertices_mm - centre_mm) / np.linalg.norm(vertices_mm - centre_mm, axis=1, keepdims=True)
    assert (np.sum(vertex_normals(vertices_mm, faces) * outward, axis=1) > 0.5).all()


def test_one_voxel_is_an_octahedron_like_box_around_its_centre():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 3] = True
    vertices_mm, faces = surface(mask, (1.0, 2.0, 3.0), smoothings=0)
    # 8 cells touch it, 3 edges of each cross it, their middles 1/2 away: their mean is 1/6 of a voxel out on each axis
    np.testing.assert_allclose(np.abs(vertices_mm - (1, 4, 9)), np.tile(np.array([1, 2, 3]) / 6, (8, 1)))
    assert len(faces) == 12
    smooth, _ = surface(mask, (1.0, 2.0, 3.0))
    assert volume(smooth, faces) > 0


def test_the_border_of_the_array_is_closed():
    vertices_mm, faces = surface(np.ones((4, 4, 4), bool), (1, 1, 1))
    assert set(edge_uses(faces).values()) == {2}
    np.testing.assert_allclose(vertices_mm.mean(axis=0), 1.5)


@settings(max_examples=25, deadline=None)
@given(arrays(bool, (4, 5, 3)))
def test_any_mask_gives_a_closed_surface_within_a_voxel_of_it(mask):
    vertices_mm, faces = surface(mask, (1, 1, 1))
    assert all(uses % 2 == 0 for uses in edge_uses(faces).values())
    if mask.any():
        nearest = np.abs(vertices_mm[:, None] - np.argwhere(mask)[None]).max(-1).min(1)
        assert nearest.max() <= 1.0 + 1e-9
    else:
        assert len(vertices_mm) == len(faces) == 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="a 3-D mask and three spacings are needed, not 2 dimensions"):
        surface(np.ones((3, 3), bool), (1, 1))


def test_views_from_the_front_and_from_the_left():
    # from the front the patient's left is on the right and the head is up; the viewer stands in front (-back)
    np.testing.assert_allclose(view_axes(0, 0), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    # from the patient's left, the back is on the right
    np.testing.assert_allclose(view_axes(90, 0), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12)


def box(x, y, z):
    """A box of 4 x 4 x 4 voxels that begins at these indices."""
    mask = np.zeros((16, 16, 16), bool)
    mask[x : x + 4, y : y + 4, z : z + 4] = True
    return surface(mask, (1, 1, 1))


def painted(surfaces, **options):
    figure = Figure(figsize=(1, 1), dpi=64)
    axis = figure.add_axes((0, 0, 1, 1))
    draw_surfaces(axis, surfaces, azimuth=0, elevation=0, **options)
    axis.set(xlim=(0, 16), ylim=(0, 16))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def test_what_is_in_front_hides_what_is_behind():
    front, back = Surface(*box(6, 2, 6), "#FF0000"), Surface(*box(6, 10, 6), "#0000FF")
    for order in ([front, back], [back, front]):
        red, _, blue = painted(order, shaded=False)[32, 32]
        assert (red > 250, blue) == (True, 0)


def test_left_is_on_the_right_and_head_is_up():
    picture = painted([Surface(*box(11, 6, 11), "#000000")])
    dark = np.argwhere(picture.sum(axis=-1) < 300)
    row, column = dark.mean(axis=0)
    assert row < 24
    assert column > 40


def test_bounds_hold_all_surfaces_and_none():
    low, high = bounds_mm([Surface(*box(0, 0, 0), "k"), Surface(*box(10, 0, 4), "k")], azimuth=0, elevation=0)
    assert -1 < low[0] < 0
    assert 13 < high[0] < 14
    assert 7 < high[1] < 8
    assert bounds_mm([])[0].tolist() == [0, 0]
    draw_surfaces(Figure().subplots(), [Surface(*surface(np.zeros((2, 2, 2), bool), (1, 1, 1)), "k")])
