"""Prompts x triggers x models -> scores, flips, rates, intervals, heatmaps and their reading.

Import the sub-module that is needed (`labels`, `score`, `rates`, `grid`, `reading`).
"""
