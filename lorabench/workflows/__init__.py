"""One function per user request; pages, commands and notebooks all call these.

`Workbench` holds the model's door, the adapters and the job list; the functions in
`scoring`, `heatmaps`, `training`, `zoo`, `models`, `adapters` take it (or a `Config`) and a
frozen request, and return a frozen result.
"""
