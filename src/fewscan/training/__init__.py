"""The engine: loop, optimisers, schedules, checkpoints, log."""
