"""A model, served."""
