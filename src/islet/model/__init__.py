"""The words of Islet, defined once: units, events, people, alerts, and columns of them. Pure."""
