"""Real NATS clients against our broker."""
