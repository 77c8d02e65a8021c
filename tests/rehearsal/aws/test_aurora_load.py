"""LOAD DATA FROM S3 against a real MariaDB: what lands in the table, and what is refused.

What is expected is from AWS's page on loading from S3 and MySQL's page on LOAD DATA.
"""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest

from rehearsal.aws.aurora import Cluster
from rehearsal.aws.aurora.cluster import SubnetGroup
from rehearsal.aws.aurora.load import Loader, Statement
from rehearsal.aws.aurora.surroundings import Surroundings
from tests.rehearsal.aws.aurora_kit import (
    BUCKET,
    CLUSTER,
    GROUP,
    STRICT,
    Stage,
    may_load,
    run,
    stage,
)
from tests.rehearsal.aws.cloud_kit import REGION, document, make_role

FORMAT = (
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' "
    "LINES TERMINATED BY '\\n'"
)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("aurora")) as opened:
        yield opened


@pytest.fixture
def numbers(here: Stage) -> str:
    """An empty table of numbers with names."""
    here.sql("CREATE OR REPLACE TABLE numbers (id INT PRIMARY KEY, name VARCHAR(10))")
    return "numbers"


def load(uri: str, table: str, words: str = "FILE", how: str = "") -> str:
    return f"LOAD DATA FROM S3 {words} '{uri}' {how} INTO TABLE {table} {FORMAT}"


def refused(connection: pymysql.Connection, statement: str) -> tuple[int, str]:
    """Return number and text of the error that a statement must end in.

    PyMySQL reads the number as a signed one: 63985 is -1551 for it, in Aurora as well.
    """
    with pytest.raises(pymysql.MySQLError) as raised:
        run(connection, statement)
    number, text = raised.value.args
    return number % 65536, text


# --- what lands ---------------------------------------------------------------------------------


def test_each_value_lands_as_it_was(here: Stage) -> None:
    """Quotes, line ends, backslashes, the two NULLs, nothing, emoji and 38 digits."""
    here.sql(
        "CREATE TABLE tricky (op CHAR(1), sequence DECIMAL(40), id VARCHAR(64), note LONGTEXT, "
        "amount DECIMAL(38, 10), raw VARBINARY(20), seen DATETIME(6))"
    )
    wide = f"{'9' * 28}.{'9' * 10}"
    lines = [
        f'U,{"1" * 40},"a","say ""hi"", twice",{wide},"AAEC/w==","2026-11-20 03:05:12.000001"',
        'U,2,"b","one\ntwo\r\nthree","-0.0000000001",NULL,NULL',
        'U,3,"c","C:\\new\\\\ \\N",NULL,NULL,NULL',
        'U,4,"d","NULL",NULL,"",NULL',
        'U,5,"e",NULL,NULL,NULL,NULL',
        'U,6,"f","",NULL,NULL,NULL',
        'U,7,"🦆 Zoë 日本","ends with a quote """,NULL,NULL,NULL',
        'U,8,"h",""",""",NULL,NULL,NULL',
        'D,9,"i",NULL,NULL,NULL,NULL',
    ]
    uri = here.put("loads/tricky/1", "\n".join(lines) + "\n")
    columns = "(op, sequence, id, note, amount, @raw, seen) SET raw = FROM_BASE64(@raw)"
    with here.loader() as connection:
        run(connection, f"{load(uri, 'tricky')} {columns}")
        connection.commit()
    found = here.sql("SELECT op, id, note, amount, raw, seen FROM tricky ORDER BY sequence")
    notes = {row[1]: row[2] for row in found}
    assert notes == {
        "a": 'say "hi", twice',
        "b": "one\ntwo\r\nthree",
        "c": "C:\\new\\\\ \\N",
        "d": "NULL",
        "e": None,
        "f": "",
        "🦆 Zoë 日本": 'ends with a quote "',
        "h": '","',
        "i": None,
    }
    by_id = {row[1]: row for row in found}
    assert str(by_id["a"][3]) == wide
    assert by_id["a"][4] == b"\x00\x01\x02\xff"
    assert by_id["a"][5] == datetime(2026, 11, 20, 3, 5, 12, 1)
    assert f"{by_id['b'][3]:f}" == "-0.0000000001"
    assert by_id["d"][4] == b""
    assert by_id["e"][4] is None
    assert here.sql("SELECT sequence FROM tricky WHERE id = 'a'")[0][0] == int("1" * 40)


@pytest.mark.parametrize(
    "written",
    [
        "load data from s3 '{uri}' into table {table} {format}",
        'LOAD DATA FROM S3\n  FILE "{region}" INTO TABLE {table} {format}',
        "/* loads */ -- really\n LOAD DATA FROM S3 FILE '{uri}' INTO TABLE {table} {format}",
    ],
)
def test_the_statement_may_be_written_in_all_its_ways(
    here: Stage, numbers: str, written: str
) -> None:
    uri = here.put("loads/ways/it's one", "1,one\n").replace("'", "''")
    regional = uri.replace("s3://", f"s3-{REGION}://").replace("''", "'")
    sql = written.format(uri=uri, region=regional, table=numbers, format=FORMAT)
    with here.loader() as connection:
        run(connection, sql)
        assert run(connection, f"SELECT * FROM {numbers}") == ((1, "one"),)


def test_a_prefix_loads_all_files_and_skips_lines_of_the_first(here: Stage, numbers: str) -> None:
    uri = here.put("loads/many/1", "id,name\n1,one")
    here.put("loads/many/2", "2,two\n")
    here.put("loads/more/3", "3,three\n")
    with here.loader() as connection:
        run(connection, load(uri[:-1], numbers, "PREFIX") + " IGNORE 1 LINES")
        assert run(connection, f"SELECT * FROM {numbers}") == ((1, "one"), (2, "two"))
        connection.commit()
    files = here.sql(
        "SELECT file_name, bytes_loaded FROM mysql.aurora_s3_load_history "
        f"WHERE load_prefix = '{uri[:-1]}'"
    )
    assert files == (("loads/many/1", 13), ("loads/many/2", 6))


def test_replace_and_ignore_do_what_they_say(here: Stage, numbers: str) -> None:
    uri = here.put("loads/same/1", "1,new\n2,two\n")
    with here.loader() as connection:
        run(connection, f"INSERT INTO {numbers} VALUES (1, 'old')")
        assert refused(connection, load(uri, numbers)) == (
            1062,
            "Duplicate entry '1' for key 'PRIMARY'",
        )
        run(connection, load(uri, numbers, how="IGNORE"))
        assert run(connection, f"SELECT * FROM {numbers}") == ((1, "old"), (2, "two"))
        run(connection, load(uri, numbers, how="REPLACE"))
        assert run(connection, f"SELECT * FROM {numbers}") == ((1, "new"), (2, "two"))


def test_a_temporary_table_is_loaded_and_merged_in_the_same_session(
    here: Stage, numbers: str
) -> None:
    uri = here.put("loads/staged/1", "1,one\n")
    with here.loader() as connection:
        run(connection, "CREATE TEMPORARY TABLE staged (id INT, name VARCHAR(10))")
        run(connection, load(uri, "staged"))
        run(connection, f"INSERT INTO {numbers} SELECT * FROM staged")
        connection.commit()
    assert here.sql(f"SELECT * FROM {numbers}") == ((1, "one"),)


# --- all or nothing -----------------------------------------------------------------------------


def test_bad_data_in_the_middle_leave_nothing_of_the_statement(here: Stage, numbers: str) -> None:
    lines = [f"{number},n{number}" for number in range(5000)]
    lines[3000] = "three thousand,n"
    uri = here.put("loads/bad/1", "\n".join(lines) + "\n")
    with here.loader() as connection:
        run(connection, f"INSERT INTO {numbers} VALUES (-1, 'before')")
        number, text = refused(connection, load(uri, numbers))
        assert number == 1366
        assert "Incorrect integer value: 'three thousand'" in text
        assert "at row 3001" in text
        # The transaction goes on as it was.
        assert run(connection, f"SELECT * FROM {numbers}") == ((-1, "before"),)
        connection.commit()
    assert here.sql(f"SELECT * FROM {numbers}") == ((-1, "before"),)
    assert not here.sql(f"SELECT 1 FROM mysql.aurora_s3_load_history WHERE load_prefix = '{uri}'")


@pytest.mark.parametrize(
    ("line", "number"), [("1,one,more\n", 1262), ("1\n", 1261), ("1,much too long a name\n", 1406)]
)
def test_a_strict_session_takes_no_line_that_does_not_fit(
    here: Stage, numbers: str, line: str, number: int
) -> None:
    uri = here.put("loads/misfit/1", line)
    with here.loader() as connection:
        assert refused(connection, load(uri, numbers))[0] == number


def test_without_a_strict_mode_bad_data_are_warnings_as_in_aurora(
    here: Stage, numbers: str
) -> None:
    """Aurora's own sql_mode is not strict: whoever wants errors must say so."""
    uri = here.put("loads/lenient/1", "one,1\n2,two\n")
    with here.connect("ferry", "hush", database="shop") as connection:
        assert run(connection, "SELECT @@sql_mode") == (("NO_ENGINE_SUBSTITUTION",),)
        run(connection, load(uri, numbers))
        (warning,) = run(connection, "SHOW WARNINGS")
        assert warning[:2] == ("Warning", 1366)
        assert run(connection, f"SELECT * FROM {numbers}") == ((0, "1"), (2, "two"))


def test_a_parameter_group_may_make_every_session_strict(here: Stage, numbers: str) -> None:
    rds = here.aws.client("rds")
    group = {"DBClusterParameterGroupName": GROUP}
    mode = {"ParameterName": "sql_mode", "ParameterValue": STRICT, "ApplyMethod": "immediate"}
    rds.modify_db_cluster_parameter_group(**group, Parameters=[mode])
    uri = here.put("loads/strict/1", "one,1\n")
    try:
        with here.connect("ferry", "hush", database="shop") as connection:
            assert refused(connection, load(uri, numbers))[0] == 1366
    finally:
        rds.reset_db_cluster_parameter_group(**group, Parameters=[mode])


def test_the_history_belongs_to_the_transaction(here: Stage, numbers: str) -> None:
    s3 = here.aws.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    uri = here.put("loads/noted/1", "1,one\n")
    version = s3.head_object(Bucket=BUCKET, Key="loads/noted/1")["VersionId"]
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    noted = (
        "SELECT file_name, version_number, bytes_loaded, "
        "load_timestamp > NOW() - INTERVAL 1 MINUTE "
        f"FROM mysql.aurora_s3_load_history WHERE load_prefix = '{uri}'"
    )
    with here.loader() as connection:
        run(connection, load(uri, numbers))
        connection.rollback()
        assert here.sql(noted) == ()
        run(connection, load(uri, numbers))
        connection.commit()
    assert here.sql(noted) == (("loads/noted/1", version, 6, 1),)


# --- size ---------------------------------------------------------------------------------------


def test_fifty_megabytes_come_whole(here: Stage) -> None:
    here.sql("CREATE TABLE big (id INT, filler TEXT)")
    filler = "x" * 5500
    uri = here.put("loads/big/0", "".join(f"{number},{filler}\n" for number in range(1000)))
    s3 = here.aws.client("s3")
    for number in range(1, 10):
        source = {"Bucket": BUCKET, "Key": "loads/big/0"}
        s3.copy_object(Bucket=BUCKET, Key=f"loads/big/{number}", CopySource=source)
    with here.loader() as connection:
        run(connection, load(uri[:-1], "big", "PREFIX"))
        connection.commit()
    assert here.sql("SELECT COUNT(*), SUM(LENGTH(filler)) FROM big")[0] == (10_000, 55_000_000)


def test_an_object_goes_to_disk_in_pieces(tmp_path: Path) -> None:
    """Memory must not grow with the object: the S3 here makes its bytes as they are read."""

    class Endless(io.RawIOBase):
        left = 50 * MIB

        def iter_chunks(self, size: int) -> Iterator[bytes]:
            while self.left:
                self.left -= size
                yield bytes(size)

    class S3:
        def get_object(self, **_: Any) -> dict[str, Any]:
            return {"Body": Endless()}

    cluster = Cluster(
        *("c", "1", REGION, SubnetGroup("s", "vpc", {}), []), "h", 1, iam_authentication=True
    )
    cluster.roles["role"] = ""
    nothing: Any = lambda *_: S3()  # noqa: E731
    around = Surroundings("1", REGION, nothing, nothing, nothing, nothing, nothing)
    statement = Statement.of(b"LOAD DATA FROM S3 's3://bucket/key' INTO TABLE t")
    assert statement is not None
    tracemalloc.start()
    try:
        with Loader(cluster, lambda _: "role", around, tmp_path).fetched(statement) as fetched:
            assert fetched.file.stat().st_size == 50 * MIB
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []


# --- refusals -----------------------------------------------------------------------------------


def test_loading_takes_the_active_role(here: Stage, numbers: str) -> None:
    uri = here.put("loads/role/1", "1,one\n")
    with here.loader() as connection:
        run(connection, "SET ROLE NONE")
        number, text = refused(connection, load(uri, numbers))
        assert (number, "LOAD FROM S3 privilege" in text) == (1227, True)
        run(connection, "SET ROLE ALL")
        run(connection, load(uri, numbers))


def test_nobody_reads_other_files(here: Stage, numbers: str) -> None:
    with here.loader() as connection:
        assert (
            refused(connection, f"LOAD DATA INFILE '/etc/passwd' INTO TABLE {numbers}")[0] == 1290
        )
        local = f"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE {numbers}"
        assert refused(connection, local)[0] in (1148, 4166)


@pytest.mark.parametrize(
    ("uri", "words", "number"),
    [
        (f"s3://{BUCKET}/loads/nothing", "FILE", 1815),
        (f"s3://{BUCKET}/loads/nothing", "PREFIX", 1815),
        (f"s3-ap-south-1://{BUCKET}/loads/other/1", "FILE", 1815),
        ("s3://no-such-bucket/loads/1", "FILE", 63985),
        (f"s3://{BUCKET}/loads/manifest", "MANIFEST", 1235),
    ],
)
def test_what_cannot_be_loaded_is_refused_and_told(
    here: Stage, numbers: str, uri: str, words: str, number: int
) -> None:
    here.put("loads/other/1", "1,one\n")
    here.aws.problems.clear()
    with here.loader() as connection:
        assert refused(connection, load(uri, numbers, words))[0] == number
    assert any(line.startswith(f"Aurora {CLUSTER}: ") for line in here.aws.problems)


def test_loading_takes_the_role_of_the_parameter_group(here: Stage, numbers: str) -> None:
    uri = here.put("loads/unset/1", "1,one\n")
    here.aws.client("rds").modify_db_cluster(
        DBClusterIdentifier=CLUSTER, DBClusterParameterGroupName="default.aurora-mysql8.0"
    )
    try:
        with here.loader() as connection:
            number, text = refused(connection, load(uri, numbers))
    finally:
        here.aws.client("rds").modify_db_cluster(
            DBClusterIdentifier=CLUSTER, DBClusterParameterGroupName=GROUP
        )
    assert (number, "aws_default_s3_role are not specified" in text) == (63985, True)


@pytest.fixture
def other_role(here: Stage) -> Iterator[Any]:
    """Let the cluster load with another role, associated or not, for as long as the test lasts."""
    rds = here.aws.client("rds")
    associated: list[str] = []

    def choose(role: str) -> None:
        parameter = {"ParameterName": "aws_default_s3_role", "ParameterValue": role}
        rds.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=GROUP,
            Parameters=[{**parameter, "ApplyMethod": "immediate"}],
        )

    def use(role: str, *, associate: bool = True) -> None:
        choose(role)
        if associate:
            rds.add_role_to_db_cluster(DBClusterIdentifier=CLUSTER, RoleArn=role)
            associated.append(role)

    yield use
    choose(here.role)
    for role in associated:
        rds.remove_role_from_db_cluster(DBClusterIdentifier=CLUSTER, RoleArn=role)


def test_a_role_must_be_associated_with_the_cluster(
    here: Stage, numbers: str, other_role: Any
) -> None:
    uri = here.put("loads/apart/1", "1,one\n")
    role = make_role(here.aws, "apart", "rds.amazonaws.com", *may_load())
    other_role(role, associate=False)
    with here.loader() as connection:
        number, text = refused(connection, load(uri, numbers))
    assert number == 63985
    assert text == "S3 API returned error: Missing Credentials: Cannot instantiate S3 Client"
    assert f"Aurora {CLUSTER}: the role {role} is not associated with the cluster" in (
        here.aws.problems
    )


def test_a_role_must_trust_rds(here: Stage, numbers: str, other_role: Any) -> None:
    uri = here.put("loads/distrust/1", "1,one\n")
    other_role(make_role(here.aws, "of-lambda", "lambda.amazonaws.com", *may_load()))
    with here.loader() as connection:
        assert "Missing Credentials" in refused(connection, load(uri, numbers))[1]


@pytest.mark.parametrize("lacking", ["s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion"])
def test_a_role_needs_all_three_rights(
    here: Stage, numbers: str, other_role: Any, lacking: str
) -> None:
    uri = here.put("loads/rights/1", "1,one\n")
    name = f"lacks-{lacking[3:]}"
    role = make_role(here.aws, name, "rds.amazonaws.com", *may_load())
    deny = {"Effect": "Deny", "Action": lacking, "Resource": "*"}
    here.aws.client("iam").put_role_policy(
        RoleName=name, PolicyName="deny", PolicyDocument=document(deny)
    )
    other_role(role)
    with here.loader() as connection:
        assert refused(connection, load(uri, numbers)) == (
            63985,
            "S3 API returned error: Access Denied",
        )
    assert any(lacking in line and "explicit deny" in line for line in here.aws.problems)


def test_objects_under_another_key_need_decrypt(here: Stage, numbers: str, other_role: Any) -> None:
    """Since Aurora MySQL 3.05 such objects can be loaded, with kms:Decrypt."""
    key = here.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    here.aws.client("s3").put_object(
        Bucket=BUCKET,
        Key="loads/secret/1",
        Body=b"1,one\n",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
    )
    uri = f"s3://{BUCKET}/loads/secret/1"
    with here.loader() as connection:
        assert "Access Denied" in refused(connection, load(uri, numbers))[1]
        decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key}
        role = make_role(here.aws, "decrypts", "rds.amazonaws.com", *may_load(), decrypt)
        other_role(role)
        run(connection, load(uri, numbers))
