"""What several test packages share: a raw client, servers to talk to."""
