"""The store: questions by person and time. What is derived from the log can be dropped and rebuilt."""
