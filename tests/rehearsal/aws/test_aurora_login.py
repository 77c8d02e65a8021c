"""Who gets into the local Aurora: passwords, tokens, the network, and a database that is down."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.auth
import pymysql
import pytest

from rehearsal.aws.aurora import MariaDb
from rehearsal.errors import BadInput
from tests.rehearsal.aws.aurora_kit import CLUSTER, GROUP, Stage, run, stage
from tests.rehearsal.aws.cloud_kit import make_function, statement

WHO = "SELECT USER()"

# A function's own way to its token: boto3 with the credentials it finds.
TOKEN_CODE = """
import boto3

def handler(event, context):
    return boto3.client("rds").generate_db_auth_token(**event)
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("aurora")) as opened:
        yield opened


@pytest.fixture(scope="module")
def allowed(here: Stage) -> dict[str, str]:
    """The keys of somebody who may connect as the user with tokens."""
    return here.person("allowed", here.database_user("tokens"))


def refused(here: Stage, user: str, password: str, **options: Any) -> str:
    """Return what the report says of a login that must be denied."""
    here.aws.problems.clear()
    with pytest.raises(pymysql.OperationalError) as raised:
        here.connect(user, password, **options)
    number, text = raised.value.args
    assert (number, "Access denied for user" in text) == (1045, True)
    (line,) = [line for line in here.aws.problems if line.startswith(f"Aurora {CLUSTER}: ")]
    return line


# --- passwords ----------------------------------------------------------------------------------


def test_a_password_lets_in_with_and_without_tls(here: Stage) -> None:
    with here.connect("ferry", "hush") as connection:
        assert run(connection, WHO) == (("ferry@127.0.0.1",),)
    open_ = {"ssl_disabled": True, "ssl_ca": None, "ssl_verify_identity": None}
    with here.connect("ferry", "hush", **open_) as connection:
        assert run(connection, WHO) == (("ferry@127.0.0.1",),)


@pytest.mark.parametrize(("user", "password"), [("ferry", "wrong"), ("ferry", ""), ("who", "x")])
def test_a_wrong_password_is_refused_and_told(here: Stage, user: str, password: str) -> None:
    assert f"'{user}'" in refused(here, user, password)


def test_the_certificate_is_of_the_authority_in_the_file(here: Stage, tmp_path: Any) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(b"")
    with pytest.raises(Exception, match=r"(?i)certificate|pem|ssl|x509"):
        here.connect("ferry", "hush", ssl_ca=str(other))


def test_a_parameter_group_may_demand_tls(here: Stage) -> None:
    rds = here.aws.client("rds")
    group = {"DBClusterParameterGroupName": GROUP}
    parameter = {"ParameterName": "require_secure_transport", "ParameterValue": "ON"}
    rds.modify_db_cluster_parameter_group(
        **group, Parameters=[{**parameter, "ApplyMethod": "immediate"}]
    )
    try:
        open_ = {"ssl_disabled": True, "ssl_ca": None, "ssl_verify_identity": None}
        with pytest.raises(pymysql.MySQLError, match="require_secure_transport=ON"):
            here.connect("ferry", "hush", **open_)
        here.connect("ferry", "hush").close()
    finally:
        rds.reset_db_cluster_parameter_group(
            **group, Parameters=[{**parameter, "ApplyMethod": "immediate"}]
        )


# --- tokens -------------------------------------------------------------------------------------


def test_a_token_lets_its_bearer_in(here: Stage, allowed: dict[str, str]) -> None:
    with here.connect("tokens", here.token(allowed), database="shop") as connection:
        assert run(connection, WHO) == (("tokens@127.0.0.1",),)


def test_a_token_needs_tls(here: Stage, allowed: dict[str, str]) -> None:
    open_ = {"ssl_disabled": True, "ssl_ca": None, "ssl_verify_identity": None}
    assert "needs TLS" in refused(here, "tokens", here.token(allowed), **open_)


def test_a_token_lives_for_fifteen_minutes(
    here: Stage, allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(minutes: int) -> str:
        then = datetime.now(timezone.utc) - timedelta(minutes=minutes)
        with monkeypatch.context() as patched:
            patched.setattr(botocore.auth, "get_current_datetime", lambda: then)
            return here.token(allowed)

    here.connect("tokens", made(14)).close()
    assert "has expired" in refused(here, "tokens", made(16))
    assert "from the future" in refused(here, "tokens", made(-16))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"DBUsername": "admin"}, "for the database user admin"),
        ({"DBHostname": "elsewhere"}, "the token is for elsewhere:"),
        ({"Port": 1}, "the token is for 127.0.0.1:1,"),
        ({"Region": "us-east-1"}, "is not signed for rds-db in eu-west-1"),
    ],
)
def test_a_token_is_for_one_user_place_and_region(
    here: Stage, allowed: dict[str, str], changes: dict[str, Any], reason: str
) -> None:
    assert reason in refused(here, "tokens", here.token(allowed, **changes))


def test_a_token_must_be_signed_with_the_secret(here: Stage, allowed: dict[str, str]) -> None:
    forged = here.token({**allowed, "aws_secret_access_key": "guessed"})
    assert "is not signed with the secret key" in refused(here, "tokens", forged)
    tampered = here.token(allowed, DBUsername="admin").replace("DBUser=admin", "DBUser=tokens")
    assert "is not signed with the secret key" in refused(here, "tokens", tampered)
    unknown = here.token({**allowed, "aws_access_key_id": "AKIAUNKNOWN"})
    assert "nobody has the access key AKIAUNKNOWN" in refused(here, "tokens", unknown)
    assert "no authentication token" in refused(here, "tokens", "hush")


def test_the_bearer_must_be_allowed_to_connect_as_this_user(here: Stage) -> None:
    keys = here.person("neighbour", here.database_user("admin"))
    here.aws.problems.clear()
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        here.connect("tokens", here.token(keys))
    wanted = f"rds-db:connect on resource: {here.database_user('tokens')}"
    assert any(wanted in line for line in here.aws.problems)


def test_a_token_is_no_password_for_other_users(here: Stage, allowed: dict[str, str]) -> None:
    refused(here, "ferry", here.token(allowed, DBUsername="ferry"))


def test_a_cluster_without_iam_authentication_takes_no_token(
    here: Stage, allowed: dict[str, str]
) -> None:
    def switch(on: bool) -> None:
        here.aws.client("rds").modify_db_cluster(
            DBClusterIdentifier=CLUSTER, EnableIAMDatabaseAuthentication=on
        )

    switch(False)
    try:
        assert "switched off" in refused(here, "tokens", here.token(allowed))
    finally:
        switch(True)


# --- the network --------------------------------------------------------------------------------


class Networked:
    """A function in the cluster's VPC that makes tokens, and the rules between both."""

    def __init__(self, here: Stage, name: str, *, inside: bool = True) -> None:
        self._here = here
        self._name = name
        self._ec2 = here.aws.client("ec2")
        cluster = here.aurora.cluster
        self.cluster_group = cluster.security_groups[0]
        self.group = str(
            self._ec2.create_security_group(
                GroupName=name, Description=name, VpcId=cluster.subnet_group.vpc
            )["GroupId"]
        )
        self._ec2.revoke_security_group_egress(
            GroupId=self.group,
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        )
        where = {"SubnetIds": list(cluster.subnet_group.subnets), "SecurityGroupIds": [self.group]}
        options: dict[str, Any] = {"VpcConfig": where} if inside else {}
        may = statement("rds-db:connect", here.database_user("tokens"))
        make_function(here.aws, name, TOKEN_CODE, may, **options)

    def let_out(self, **rule: Any) -> None:
        self._ec2.authorize_security_group_egress(
            GroupId=self.group, IpPermissions=[self._at(rule)]
        )

    def let_in(self, **rule: Any) -> None:
        self._ec2.authorize_security_group_ingress(
            GroupId=self.cluster_group, IpPermissions=[self._at(rule)]
        )

    def _at(self, rule: dict[str, Any]) -> dict[str, Any]:
        port = self._here.aurora.port
        return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **rule}

    def token(self) -> str:
        here = self._here
        asked = {
            "DBHostname": here.aurora.endpoint,
            "Port": here.aurora.port,
            "DBUsername": "tokens",
        }
        answer = here.aws.client("lambda").invoke(
            FunctionName=self._name, Payload=json.dumps(asked)
        )
        token = json.loads(answer["Payload"].read())
        assert isinstance(token, str), token
        return token

    def connects(self) -> str | None:
        """Return None where the function gets in, and what the report says where it does not."""
        self._here.aws.problems.clear()
        try:
            with self._here.connect("tokens", self.token()) as connection:
                assert run(connection, WHO) == (("tokens@127.0.0.1",),)
        except pymysql.OperationalError as error:
            assert error.args[0] == 2013, "the connection is cut, not refused"  # noqa: PT017
            (line,) = self._here.aws.problems
            return line
        return None


def test_a_function_needs_a_rule_out_and_a_rule_in(here: Stage) -> None:
    function = Networked(here, "by-group")
    groups = [{"GroupId": function.cluster_group}]
    assert "no egress rule of the security groups of by-group" in str(function.connects())
    function.let_out(UserIdGroupPairs=groups, FromPort=1, ToPort=2)
    assert "no egress rule" in str(function.connects())
    function.let_out(UserIdGroupPairs=groups)
    assert f"no ingress rule of the security groups of {CLUSTER}" in str(function.connects())
    function.let_in(UserIdGroupPairs=[{"GroupId": function.group}])
    assert function.connects() is None


def test_rules_may_name_addresses(here: Stage) -> None:
    function = Networked(here, "by-address")
    function.let_out(IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    function.let_in(IpRanges=[{"CidrIp": "172.31.0.0/20"}])
    assert "no ingress rule" in str(function.connects()), "its other subnets are not let in"
    function.let_in(IpRanges=[{"CidrIp": "172.31.0.0/16"}])
    assert function.connects() is None


def test_a_function_outside_of_the_vpc_does_not_reach_the_cluster(here: Stage) -> None:
    function = Networked(here, "outside", inside=False)
    assert "the function outside is not in the VPC" in str(function.connects())


# --- a database that is down --------------------------------------------------------------------


def test_a_crash_breaks_connections_and_loses_no_commit(here: Stage) -> None:
    here.sql("CREATE TABLE kept (id INT PRIMARY KEY)")
    endpoint = here.aurora.port
    with here.connect("ferry", "hush", database="shop") as connection:
        run(connection, "INSERT INTO kept VALUES (1)")
        connection.commit()
        run(connection, "INSERT INTO kept VALUES (2)")
        here.aurora.take_down()
        with pytest.raises(pymysql.OperationalError) as lost:
            run(connection, "INSERT INTO kept VALUES (3)")
        assert lost.value.args[0] in (2006, 2013)
    with pytest.raises(pymysql.OperationalError) as down:
        here.connect("ferry", "hush")
    assert down.value.args[0] == 2003
    here.aurora.bring_up()
    assert here.aurora.port == endpoint
    with here.connect("ferry", "hush", database="shop") as connection:
        assert run(connection, "SELECT id FROM kept") == ((1,),)


def test_tokens_are_good_after_a_crash_too(here: Stage, allowed: dict[str, str]) -> None:
    here.aurora.take_down()
    here.aurora.bring_up()
    here.connect("tokens", here.token(allowed)).close()


def test_nothing_listens_beyond_this_machine(here: Stage) -> None:
    """On the host's other addresses neither the front nor MariaDB answers."""
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1"}
    for address in others:
        for port in (here.aurora.port, here.aurora.server.port):
            if not str(address).startswith(("127.", "::1")):
                with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
                    socket.create_connection((str(address), port), timeout=1).close()


def test_a_command_of_16_mib_is_refused_by_name(here: Stage) -> None:
    with here.connect("ferry", "hush") as connection:
        with pytest.raises(pymysql.MySQLError) as raised:
            run(connection, f"SELECT '{'x' * 2**24}'")
        assert raised.value.args[0] in (1153, 2006, 2013)


def test_without_mariadb_one_line_says_what_to_do(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rehearsal.aws.aurora.server._FOLDERS", (str(tmp_path),))
    with pytest.raises(BadInput) as told:
        MariaDb(tmp_path)
    (line,) = told.value.lines
    assert "mariadbd is not installed" in line
    assert "make databases" in line
