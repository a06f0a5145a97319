"""What Islet promises about speed and size, measured: `make bench`."""
