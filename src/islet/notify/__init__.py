"""From an alert in the log to a person: an outbox that survives crashes, and the channels it sends through."""
