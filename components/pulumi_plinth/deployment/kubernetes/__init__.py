"""A deployment on Kubernetes: its spec, its plan, the objects it becomes. Pure: nothing here speaks to a cluster."""
