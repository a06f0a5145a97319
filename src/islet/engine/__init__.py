"""The engine: readings in, alert episodes out; exact for any order of arrival within the lateness bound.

Pure: `rules`, `sql`, `predicates`, `ids`, `windows`, `evaluate`, `episodes`, `advance`, `changes`, `step`, `snapshot`.
Drivers: `embedded`.
"""
