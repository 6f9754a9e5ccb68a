"""Every example is run, in a process of its own, and talked to."""
