"""Run the command line as ``python -m fewscan``, which torchrun and SLURM scripts use."""

from fewscan.cli.app import main

if __name__ == "__main__":
    main()
