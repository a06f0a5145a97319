"""The engine: readings in, alert episodes out; exact for any order of arrival within the lateness bound.

The language: `rules` (with `frontmatter`, `sql`, `aggregates`, `scalars`, `predicates`, `code`, `registers`, `tables`),
which makes a `program`. The kernels: `step` (with `advance`, `ids`, `insert`, `context`, `evaluate`, `interpret`,
`foretell`, `episodes`, `silences`, `said`, `told`; memory in `series`, `runs`, `pool`, `state`; `snapshot`, `changes`).
All streams together: `shard`. All of these are pure. Drivers: `embedded` (which keeps its state by `saving`), `backfill`.
"""
