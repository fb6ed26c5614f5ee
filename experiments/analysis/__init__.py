"""From finished runs to what a reader sees: tidy tables, breakdowns, figures.

Reads ``artifacts/`` only. Every number is a sum over a journal (:mod:`.tidy`) or a value of the
paper with its source (:mod:`.reference`); nothing here is typed in or imputed.
"""
