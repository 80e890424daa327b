"""The three papers that fewscan began with: what methods and settings call paper 1, 2 and 3."""

import re

FOUNDING_PAPERS = {
    "paper 1": (
        "Li et al., A Unified Framework for Semi-Supervised Image Segmentation and Registration, ISBI 2025, "
        "arXiv 2502.03229"
    ),
    "paper 2": "Cheng and Song, Efficient MRI image segmentation using semi-supervised learning",
    "paper 3": (
        "Zhang, Semi-supervised Medical Image Segmentation with Hybrid Cropping in a Multi-Model Co-learning "
        "Framework, 2024"
    ),
}


def papers_named_in(text: str) -> dict[str, str]:
    """Return in full those of the papers that ``text`` names by number, in their order."""
    found = {name.lower() for name in re.findall(r"\bpaper [123]\b", text, flags=re.IGNORECASE)}
    return {name: full for name, full in FOUNDING_PAPERS.items() if name in found}
