"""What people see of a cluster: the stack's deployments, models and GPU nodes as they are now.

`reading` asks the cluster by `kube`, the only module that knows the client's library; everything else here is pure:
objects as the API server gives them become rows, nothing is decided about what to do.
"""
