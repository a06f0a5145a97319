"""Pure: what may be done about what was found, by a table of rules; medicines only ever to be discussed with a clinician."""
