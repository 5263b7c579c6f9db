"""The only door to torch for inference: fetch and load a base, bind adapters, forward, gradients.

Import the sub-module that is needed (`registry`, `fetch`, `rows`, `language_model`, ...):
this package imports nothing by itself, so that listing models never waits for torch.
"""
