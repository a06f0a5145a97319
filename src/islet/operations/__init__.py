"""Running the platform: supervised workers, health, Prometheus metrics, structured logs, and the installation check."""
