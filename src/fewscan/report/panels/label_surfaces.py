"""Surfaces of the predicted classes of one volume where no truth is known: all classes together, from two sides."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fewscan.pictures.compared import ComparedCase
from fewscan.pictures.orientation import upright
from fewscan.pictures.surfaces import AZIMUTH, ELEVATION, Surface, bounds_mm, draw_surfaces, surface
from fewscan.report.document.content import Picture
from fewscan.report.document.embed import data_uri
from fewscan.report.panels.cases import PicturedCase, class_colours

VIEWS = {"from the front": AZIMUTH, "from the back": AZIMUTH + 180}
PANEL_INCHES, DPI = 3.0, 130


def label_rendering(case: PicturedCase, names: Mapping[int, str]) -> Picture:
    """Return the picture.

    Parameters
    ----------
    case : PicturedCase
        3-D.
    names : mapping of int to str
        Classes by label value, in the order of their colours.
    """
    whole = ComparedCase("", case.image, case.prediction, {}, case.geometry).zoomed()
    labels, spacing_mm = upright(whole.truth, whole.geometry)
    colours = class_colours(names)
    surfaces = [Surface(*surface(labels == value, spacing_mm), colour) for value, colour in colours.items()]
    figure = Figure(figsize=(PANEL_INCHES * len(VIEWS), PANEL_INCHES + 0.7), facecolor="white")
    axes = figure.subplots(1, len(VIEWS), squeeze=False)[0]
    figure.subplots_adjust(0.01, 0.12, 0.99, 0.92, wspace=0.02)
    for axis, (name, azimuth) in zip(axes, VIEWS.items(), strict=True):
        low, high = bounds_mm(surfaces, azimuth=azimuth, elevation=ELEVATION)
        middle, half = (low + high) / 2, 0.53 * max(float((high - low).max()), 1e-3)
        axis.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
        draw_surfaces(axis, surfaces, azimuth=azimuth)
        axis.set_title(name, fontsize=9)
    seen = [value for value in names if np.any(labels == value)]
    handles = [Patch(color=colours[value], label=names[value]) for value in seen]
    figure.legend(handles=handles, loc="lower center", ncols=min(4, max(1, len(handles))), frameon=False, fontsize=8.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    alt = f"3-D surfaces of the predicted {', '.join(names[value] for value in seen) or 'classes (none)'} of case "
    alt = f"{alt}{case.case_id}, seen from the front and from the back."
    caption = f"Predicted surfaces of {case.case_id}"
    return Picture(data_uri(buffer.getvalue(), "image/png"), alt, caption, "render")
