"""Writes pages that are made while the documentation is built."""

from pathlib import Path


def write_pages(folder: Path, pages: dict[str, str]) -> None:
    """Make the folder hold exactly these pages; those that have not changed are left alone, and not built again."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
