"""Aurora MySQL on this machine: a real MariaDB server behind a front that does what Aurora does.

    aws.rds.register_aurora("orders-stg")
    with aws.rds.aurora("orders-stg", folder) as aurora:
        aurora.master()    # the SQL of an administrator
        aurora.endpoint, aurora.port, aurora.ca_file    # what a client connects to, over TLS

`server` is the database, `front` the wire protocol, `load` LOAD DATA FROM S3, `authentication` IAM
database authentication, `network` who may connect at all, `clusters` what the RDS API tells of it.
"""

from rehearsal.aws.aurora.cluster import Cluster
from rehearsal.aws.aurora.clusters import Clusters
from rehearsal.aws.aurora.instance import Aurora
from rehearsal.aws.aurora.server import MariaDb
from rehearsal.aws.aurora.surroundings import Surroundings

__all__ = ["Aurora", "Cluster", "Clusters", "MariaDb", "Surroundings"]
