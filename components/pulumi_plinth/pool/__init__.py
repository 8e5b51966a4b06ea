"""Nodes with GPUs."""
