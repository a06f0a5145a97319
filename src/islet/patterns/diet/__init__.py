"""Pure: how glucose answers to meals, and which meals and foods of a person raise it most."""
