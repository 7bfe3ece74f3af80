"""A real Kubernetes on this machine: its programs, built from pinned sources, and one node that runs pods."""

from runstart.facility.cluster.access import RunningCluster
from runstart.facility.cluster.cluster import Cluster
from runstart.facility.cluster.programs import cluster_programs_dir, install_cluster

__all__ = ["Cluster", "RunningCluster", "cluster_programs_dir", "install_cluster"]
