"""Trainings of several stages: each stage is an ordinary training by the engine."""
