"""Plots, animation, report and dashboard of run folders and other results.

Reads folders: runs, trained models, evaluations. Knows no live world and no language model. The module of a plot has
``draw(source, **settings)``, which returns a figure, and ``data(source, **settings)``, which returns its data. Nothing is
imported here, so that listing plots loads no matplotlib.
"""
