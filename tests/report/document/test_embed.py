import base64

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fewscan.report.document.embed import png_file, png_of, png_pixels, svg


def figure(text="x"):
    drawn = Figure(figsize=(3, 2))
    drawn.subplots().set_title(text)
    return drawn


def test_equal_charts_are_equal_bytes_and_need_no_font():
    first, second = (svg(figure(), alt="a") for _ in range(2))
    assert first.source == second.source
    text = base64.b64decode(first.source.split(",")[1]).decode()
    assert "<text" not in text
    assert "font-family" not in text


def test_letters_that_the_font_lacks_are_no_error():
    assert svg(figure("海马"), alt="a").source.startswith("data:image/svg+xml;base64,")


def test_a_png_is_embedded_at_the_size_it_was_drawn_for(tmp_path):
    picture = png_of(lambda path: figure().savefig(path, dpi=150), alt="a", caption="c")
    assert picture.size == (3 * 96, 2 * 96)
    assert not list(tmp_path.iterdir())
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(ValueError, match="not a PNG"):
        png_file(tmp_path / "no.png", alt="a")


def test_pixels_come_back(tmp_path):
    values = np.zeros((2, 3, 3))
    values[0, 0] = (1.0, 2.0, -1.0)  # cut off at 0 and 1
    path = tmp_path / "p.png"
    path.write_bytes(base64.b64decode(png_pixels(values, alt="a").source.split(",")[1]))
    np.testing.assert_allclose(imread(path)[0, 0, :3], (1, 1, 0))
    assert imread(path).shape[:2] == (2, 3)
