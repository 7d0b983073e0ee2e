"""Notebooks are programs, which test_notebooks.py runs: to look for doctests would run them too."""

collect_ignore = ['colab']
