"""The engine: readings in, alert episodes out; exact for any order of arrival within the lateness bound.

Pure: `rules`, `sql`, `predicates`, `ids`, `windows`, `episodes`, `step`, `snapshot`. Drivers: `embedded`.
"""
