"""Tests of what reads the authors' own logs."""
