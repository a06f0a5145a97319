"""Pure: how insulin acts over time, and what glucose did after insulin and drugs."""
