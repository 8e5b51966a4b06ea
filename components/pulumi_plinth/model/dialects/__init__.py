"""Documents that people already have, read into ModelSpecs and written back."""
