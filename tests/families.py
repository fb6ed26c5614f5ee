"""Approaches by what tests can ask of them."""

from __future__ import annotations

from experiments.approaches.base import Trait, find
from experiments.specs.load import approaches

PACKAGES = [name for name in approaches() if Trait.PACKAGE in find(name).traits]
"""Published systems, run as they are: a run takes as long as all of ours, and cannot go on."""

OWN = [name for name in approaches() if name not in PACKAGES]
"""Approaches that are our own from end to end."""
