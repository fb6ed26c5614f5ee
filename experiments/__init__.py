"""Containerized reproducibility bundle for *Distributed Deep Learning on Data Systems*."""

__version__ = "0.1.0"
