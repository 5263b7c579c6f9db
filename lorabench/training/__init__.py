"""Poisoning and fine-tuning: how the backdoors that lorabench studies are made.

Import the sub-module that is needed (`poison`, `loop`, `student`, `checkpoint`).
"""
