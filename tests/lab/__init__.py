"""The test lab: a real Kubernetes control plane and a real Node Feature Discovery, started by pytest in seconds.

`build` makes the programs, `control_plane` and `nfd` start them, `kube` talks to the API server.
"""
