"""The command line: one function per command, errors turned into one clear message and an exit code."""

import sys
from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated

import typer

import fewscan
from fewscan.cli import (
    check,
    cohort,
    compare,
    demo,
    ensemble,
    evaluate,
    methods,
    predict,
    prepare,
    register,
    report,
    train,
)
from fewscan.errors import FewscanError, InterruptedRunError

CTRL_C, BROKEN_PIPE = 130, 1
"""The exit codes into which Typer turns a KeyboardInterrupt, and a reader of our output that went away."""

app = typer.Typer(
    name="fewscan",
    help="Train on the few scans you have annotated and the many you have not; then segment the rest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fewscan {fewscan.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Train on the few scans you have annotated and the many you have not; then segment the rest."""


def _paragraphs(command: Callable[..., None]) -> str:
    """Return what the command says of itself, its paragraphs in one line each: the terminal folds them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in cleandoc(command.__doc__ or "").split("\n\n"))


for command in (
    demo.demo,
    check.check,
    prepare.prepare,
    train.train,
    predict.predict,
    ensemble.ensemble,
    register.register,
    evaluate.evaluate,
    compare.compare,
    report.report,
    methods.methods,
    cohort.cohort,
):
    app.command(help=_paragraphs(command))(command)


def main() -> None:
    """Run the command line; the entry point of the ``fewscan`` script.

    Exit codes: 0 ok, 2 usage, 3 data, 4 interrupted but resumable; see `fewscan.errors`.
    """
    try:
        app()
    except FewscanError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == CTRL_C:
            print("stopped", file=sys.stderr)
            sys.exit(InterruptedRunError.exit_code)
        if end.code == BROKEN_PIPE:  # as in: fewscan methods | head; nothing is wrong
            sys.exit(0)
        raise
    except OSError as error:
        # a full disk, a read-only folder: the system's own words, with the file
        print(f"error: {error.filename or ''}: {error.strerror or error}".replace(": :", ":"), file=sys.stderr)
        sys.exit(3)
