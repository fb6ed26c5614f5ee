"""Where model configs come from: grid, random, TPE, ASHA and Hyperband, asked and told alike.

A :class:`~experiments.search.searcher.Searcher` is asked for assignments and told results; what it
proposes depends on these and on its seed only. :class:`~experiments.search.journaled.Search` keeps
both in the run's journal, so that a search survives whatever ends its process.
"""
