"""What a real InfluxDB refuses and what not, as seen from outside; and answers of stores that no package gives us.

Not to be had through PyPI or Debian: MongoDB (left Debian with its licence of 2018), Elasticsearch, OpenSearch and
CouchDB. Their answers are as documented:

- MongoDB: manual, "MongoDB Wire Protocol" (OP_MSG), and error 13 Unauthorized of src/mongo/base/error_codes.yml;
- Elasticsearch: guide, "cat indices API" and "Set up minimal security" (security_exception);
- OpenSearch: documentation, "CAT indices"; the security plugin asks for Basic with its own name as realm;
- CouchDB: documentation, "/_all_dbs" and "Security" (unauthorized, "You are not a server admin.");
- InfluxDB 2: API of OSS v2, "GET /api/v2/setup"; its refusal as in https://github.com/centreon/centreon-plugins/issues/5037.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.influxdb import first_account, influxdb
from tests.servers.programs import certificate
from tests.servers.recorded import recorded

pytestmark = pytest.mark.server

MONGODB, SEARCH = "refused-documents.mongodb-without-login", "refused-documents.search-without-login"
COUCHDB, INFLUXDB = "refused-documents.couchdb-without-login", "refused-documents.influxdb-without-login"


def seen(target: Target, check: str) -> str:
    found = look(target, only=[check])[check]
    print(told(found))
    return str(state(found))


def test_influxdb(tmp_path: Path) -> None:
    with influxdb(tmp_path / "open", login=False) as target:
        assert seen(target, INFLUXDB) == "fail"
    with influxdb(tmp_path / "closed", login=True) as target:
        assert seen(target, INFLUXDB) == "fail"
        first_account(target)
        assert seen(target, INFLUXDB) == "pass"


def test_influxdb_over_tls(tmp_path: Path) -> None:
    clear = "refused-documents.influxdb-clear-text"
    with influxdb(tmp_path / "clear", login=False) as target:
        assert seen(target, clear) == "fail"
    with influxdb(tmp_path / "tls", login=False, tls=True) as target:
        assert seen(target, clear) == "pass"
        assert seen(target, INFLUXDB) == "fail"


@pytest.mark.parametrize(("allowed", "expected"), [("true", "fail"), ("false", "pass")])
def test_influxdb_2_that_was_never_set_up(allowed: str, expected: str) -> None:
    version = ("X-Influxdb-Build: OSS", "X-Influxdb-Version: v2.7.6")
    answers = {
        b"/query": _http(
            "401 Unauthorized", *version, body='{"code":"unauthorized","message":"Unauthorized"}'
        ),
        b"/api/v2/setup": _http("200 OK", *version, body=f'{{\n\t"allowed": {allowed}\n}}'),
    }
    with recorded("influxdb", answers) as server:
        assert seen(server.target, INFLUXDB) == expected


def _mongodb(elements: str) -> bytes:
    document = bytes.fromhex(elements)
    document = (len(document) + 5).to_bytes(4, "little") + document + b"\0"
    return (
        (len(document) + 21).to_bytes(4, "little")
        + bytes.fromhex("0b00000001000000dd0700000000000000")
        + document
    )


def _http(status: str, *fields: str, body: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", body]).encode()


@pytest.mark.parametrize(
    ("service", "check", "answer", "expected"),
    [
        (
            "mongodb", MONGODB,
            # {ok: 0.0, errmsg: "Command listDatabases requires authentication", code: 13}
            _mongodb(
                "016f6b000000000000000000 026572726d736700 2e000000"
                + b"Command listDatabases requires authentication\0".hex() + "10636f6465000d000000"
            ),
            "pass",
        ),
        (
            "mongodb", MONGODB,
            # {databases: [{name: "admin"}], totalSize: 40960, ok: 1.0}
            _mongodb(
                "0464617461626173657300 1d000000 033000 15000000 026e616d6500 0600000061646d696e00 00 00"
                "10746f74616c53697a650000a00000 016f6b00000000000000f03f"
            ),
            "fail",
        ),
        (
            "elasticsearch", SEARCH,
            _http(
                "401 Unauthorized", 'WWW-Authenticate: Basic realm="security", charset="UTF-8"',
                "content-type: application/json",
                body='{"error":{"root_cause":[{"type":"security_exception","reason":"missing authentication '
                'credentials for REST request [/_cat/indices]"}],"type":"security_exception"},"status":401}',
            ),
            "pass",
        ),
        (
            "elasticsearch", SEARCH,
            _http("200 OK", "X-elastic-product: Elasticsearch", body='[{"index":"my-index-000001"}]'),
            "fail",
        ),
        (
            "opensearch", SEARCH,
            _http("401 Unauthorized", 'WWW-Authenticate: Basic realm="OpenSearch Security"', body="Unauthorized"),
            "pass",
        ),
        (
            "couchdb", COUCHDB,
            _http(
                "401 Unauthorized", "Server: CouchDB/3.3.3 (Erlang OTP/24)",
                body='{"error":"unauthorized","reason":"You are not a server admin."}\n',
            ),
            "pass",
        ),
        (
            "couchdb", COUCHDB,
            _http("200 OK", "Server: CouchDB/2.3.1 (Erlang OTP/19)", body='["_users","contacts"]\n'),
            "fail",
        ),
    ],
)  # fmt: skip
def test_documented_answers(service: str, check: str, answer: bytes, expected: str) -> None:
    with recorded(service, answer) as server:
        assert seen(server.target, check) == expected
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        ("mongodb", _mongodb("016f6b000000000000000000 10636f6465000d000000")),
        ("elasticsearch", _http("200 OK", body='[{"index":"my-index-000001"}]')),
    ],
)
def test_documented_answers_in_the_clear_and_over_tls(tmp_path: Path, service: str, answer: bytes) -> None:
    check = f"refused-documents.{'mongodb' if service == 'mongodb' else 'search'}-clear-text"
    with recorded(service, answer) as server:
        assert seen(server.target, check) == "fail"
    chain, key, _ = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with recorded(service, answer, context) as server:
        assert seen(server.target, check) == "pass"
