"""Taking people out of an installation: users who log in, and patients with all that is kept of them."""
