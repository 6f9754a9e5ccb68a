"""Raw lines in, raw lines out: the wire suite, and its comparison with the real server."""
