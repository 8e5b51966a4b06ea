"""Will what somebody intends to run work? Rules over a command line, a pod and the nodes it is meant for. Pure."""
