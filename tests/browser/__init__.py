"""Pages in a real browser: the dashboard, its console, and NATS's own JavaScript client."""
