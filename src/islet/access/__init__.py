"""Who may do what: one pure function decides; credentials are checked here too. Pure."""
