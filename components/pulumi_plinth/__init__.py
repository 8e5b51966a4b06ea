"""Pulumi components that turn a typed stack file into running model servers."""
