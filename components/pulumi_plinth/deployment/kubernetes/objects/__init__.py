"""A ServerPlan as Kubernetes objects, one module for each kind of object: plain dicts, nothing decided. Pure."""
