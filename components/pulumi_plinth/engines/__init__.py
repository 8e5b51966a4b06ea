"""What an engine release knows, whether arguments suit it, and which engine a model gets. Pure."""
