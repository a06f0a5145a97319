"""Pure: how a person looks after themselves: wear, writing down, regular meals, runs of good days, what advice did."""
