"""The OKE cluster that pools and servers live in."""
