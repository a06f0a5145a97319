"""What glucose will do in the next hour, and how sure that is. Pure: arrays in, arrays out."""
