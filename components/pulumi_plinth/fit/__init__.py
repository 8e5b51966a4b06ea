"""Will it fit, on what: arithmetic only."""
