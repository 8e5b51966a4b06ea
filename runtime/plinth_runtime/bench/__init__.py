"""Measures a running server from outside: what a client waits for, and what the server gives in all."""
