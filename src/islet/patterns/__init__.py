"""Pure: what days and people have in common, and what has changed; each finding comes with its evidence."""
