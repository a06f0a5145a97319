"""Pure: how much a person's glucose moves with each of the things that they wrote down, all looked at together."""
