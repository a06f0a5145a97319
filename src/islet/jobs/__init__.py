"""Work that is done once a night over everybody: who resembles whom, whose days have changed."""
