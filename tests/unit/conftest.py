"""Puts this folder on the import path, so that every unit test can `from samples import ...`."""
