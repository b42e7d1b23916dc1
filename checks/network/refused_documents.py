"""Whether document stores and search engines refuse who has not logged in (seen from outside)."""

from __future__ import annotations

from typing import Any, Final

from checks.network.asking import (
    Answered,
    Response,
    asked_over_http,
    judged,
    over_tls_only,
    request,
    said,
    spoken,
    twice,
)
from checks.network.example_talks import NO_TLS, SILENCE, at, http, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    Exchange,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_MONGODB: Final = ("mongodb", "mongo")
_SEARCH: Final = ("elasticsearch", "opensearch")
_COUCHDB: Final = ("couchdb",)
_INFLUXDB: Final = ("influxdb",)


@fact
class MongodbAnswer(Answered):
    """What MongoDB did when somebody who has not logged in asked for the names of the databases."""


@fact
class SearchAnswer(Answered):
    """What Elasticsearch or OpenSearch did when somebody who has not logged in asked for the names of the indices."""


@fact
class CouchdbAnswer(Answered):
    """What CouchDB did when somebody who has not logged in asked for the names of the databases."""


@fact
class InfluxdbAnswer(Answered):
    """What InfluxDB did when somebody who has not logged in asked for the names of the databases."""


@fact
class InfluxdbDoor(Answered):
    """The same; and when it refused, whether he may set it up, and so make himself its administrator."""


# --- MongoDB --------------------------------------------------------------------------------------------------

_OP_MSG: Final = 2013
_UNAUTHORIZED: Final = 13
#: The whole message: its length, little-endian, counts itself.
_MESSAGE: Final = (0, -4, 0)
#: BSON elements of a fixed size, by type (bsonspec.org): double, id, boolean, date, null, int32, timestamp, int64.
_SIZES: Final = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
_DOCUMENTS: Final = (0x03, 0x04)
_STRING: Final = 0x02


def _document(elements: bytes) -> bytes:
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def _text(name: str, value: str) -> bytes:
    return b"\x02" + name.encode() + b"\0" + (len(value) + 1).to_bytes(4, "little") + value.encode() + b"\0"


def _int(name: str, value: int) -> bytes:
    return b"\x10" + name.encode() + b"\0" + value.to_bytes(4, "little")


def _message(document: bytes, answer_to: int = 0) -> bytes:
    body = b"\0\0\0\0" + b"\0" + document
    header = (len(body) + 16, 1, answer_to, _OP_MSG)
    return b"".join(number.to_bytes(4, "little") for number in header) + body


_LIST_DATABASES: Final = _message(
    _document(_int("listDatabases", 1) + b"\x08nameOnly\0\x01" + _text("$db", "admin"))
)


def _elements(document: bytes) -> dict[str, Any]:
    """The elements of a BSON document: numbers and texts by name, True for what has parts of its own."""
    found: dict[str, Any] = {}
    at_ = 4
    while at_ < len(document) and (kind := document[at_]):
        end = document.index(b"\0", at_ + 1)
        name, at_ = document[at_ + 1 : end].decode("utf-8", "replace"), end + 1
        if kind in _SIZES:
            size = _SIZES[kind]
        elif kind in _DOCUMENTS:
            size = int.from_bytes(document[at_ : at_ + 4], "little")
        elif kind == _STRING:
            size = 4 + int.from_bytes(document[at_ : at_ + 4], "little")
        elif kind == 0x05:
            size = 5 + int.from_bytes(document[at_ : at_ + 4], "little")
        else:
            raise NotUnderstood(f"BSON of type {kind}")
        value = document[at_ : at_ + size]
        found[name] = _value(kind, value)
        at_ += size
    return found


def _value(kind: int, value: bytes) -> Any:
    if kind == 0x10:
        return int.from_bytes(value, "little", signed=True)
    if kind == 0x01:
        # Only whether a command succeeded is a double here: exactly one or not.
        return 1 if value == b"\0\0\0\0\0\0\xf0\x3f" else 0
    return value[4:-1].decode("utf-8", "replace") if kind == _STRING else True


def _speaks_mongodb(exchange: Exchange) -> bool:
    answer = exchange.received
    return (
        len(answer) > 26
        and int.from_bytes(answer[:4], "little") == len(answer)
        and int.from_bytes(answer[12:16], "little") == _OP_MSG
        and answer[20] == 0
    )


def _listing_refused(exchange: Exchange) -> bool:
    told = _elements(exchange.received[21:])
    if told.get("ok") == 1 and "databases" in told:
        return False
    if told.get("ok") == 0 and told.get("code") == _UNAUTHORIZED:
        return True
    raise NotUnderstood(f"neither yes nor no: {told.get('errmsg') or said(exchange)}")


@probe(
    "outside",
    **twice(
        _MONGODB,
        "MongoDB: the names of the databases, without logging in",
        Say(_LIST_DATABASES.decode("latin-1"), frame=_MESSAGE),
    ),
)
def mongodb_answer(clear: Raw, secured: Raw, port: OpenPort) -> MongodbAnswer:
    """MongoDB manual, "MongoDB Wire Protocol": OP_MSG with one document; the error codes are in its error_codes.yml."""
    return judged(
        MongodbAnswer,
        port,
        spoken(clear, secured, _speaks_mongodb, "MongoDB"),
        _listing_refused,
        lambda exchange: str(_elements(exchange.received[21:]).get("errmsg", "a list of databases"))[:120],
    )


# --- over HTTP ------------------------------------------------------------------------------------------------


@probe(
    "outside",
    **twice(
        _SEARCH,
        "Elasticsearch: the names of the indices, without logging in",
        Say(request("/_cat/indices?format=json&h=index")),
    ),
)
def search_answer(clear: Raw, secured: Raw, port: OpenPort) -> SearchAnswer:
    """Elasticsearch guide, "cat indices API"; OpenSearch documentation, "CAT indices"."""
    return asked_over_http(SearchAnswer, port, (clear, secured), "Elasticsearch", _search_refused)


def _search_refused(answer: Response) -> bool | None:
    told = answer.json()
    if answer.status == 200:
        listed = isinstance(told, list) and all(isinstance(one, dict) and "index" in one for one in told)
        return False if listed else None
    realm = answer.fields.get("www-authenticate", "").lower()
    error = told.get("error") if isinstance(told, dict) else None
    # A licence that has run out is a security_exception too, and says nothing of who asks.
    by_name = (
        isinstance(error, dict)
        and error.get("type") == "security_exception"
        and "license" not in str(error.get("reason"))
    )
    if answer.status in (401, 403) and (by_name or "opensearch" in realm or 'realm="security"' in realm):
        return True
    return None


@probe(
    "outside",
    **twice(_COUCHDB, "CouchDB: the names of the databases, without logging in", Say(request("/_all_dbs"))),
)
def couchdb_answer(clear: Raw, secured: Raw, port: OpenPort) -> CouchdbAnswer:
    """CouchDB documentation, 1.2.3 "/_all_dbs"; errors, 3.1 "Security"."""
    return asked_over_http(CouchdbAnswer, port, (clear, secured), "CouchDB", _couchdb_refused)


def _couchdb_refused(answer: Response) -> bool | None:
    if not answer.fields.get("server", "").startswith("CouchDB/"):
        return None
    told = answer.json()
    if answer.status == 200 and isinstance(told, list):
        return False
    named = isinstance(told, dict) and told.get("error") in ("unauthorized", "forbidden")
    return True if answer.status in (401, 403) and named else None


_DATABASES: Final = twice(
    _INFLUXDB,
    "InfluxDB: the names of the databases, without logging in",
    Say(request("/query?q=SHOW+DATABASES")),
)
_SETUP: Final = twice(
    _INFLUXDB,
    "InfluxDB: whether anybody may set it up",
    Say(request("/api/v2/setup")),
)


@probe("outside", **_DATABASES)
def influxdb_answer(clear: Raw, secured: Raw, port: OpenPort) -> InfluxdbAnswer:
    """InfluxDB documentation, "InfluxDB API reference": /query."""
    return asked_over_http(InfluxdbAnswer, port, (clear, secured), "InfluxDB", _influxdb_refused)


def _influxdb_refused(answer: Response) -> bool | None:
    if "x-influxdb-version" not in answer.fields:
        return None
    told = answer.json()
    if answer.status == 200 and isinstance(told, dict) and "results" in told:
        return False
    if answer.status == 403 and b"create admin user first" in answer.body:
        return False  # whoever comes first may make himself its administrator
    return True if answer.status == 401 else None


@probe("outside", **_DATABASES, setup=_SETUP["clear"], secured_setup=_SETUP["secured"])
def influxdb_door(clear: Raw, secured: Raw, setup: Raw, secured_setup: Raw, port: OpenPort) -> InfluxdbDoor:
    """InfluxDB OSS v2 API: GET /api/v2/setup. Version 2 refuses every question, even before anybody has set it up."""
    answer = asked_over_http(InfluxdbDoor, port, (clear, secured), "InfluxDB", _influxdb_refused)
    if not answer.refused:
        return answer
    to_set_up = asked_over_http(InfluxdbDoor, port, (setup, secured_setup), "InfluxDB", _setup_refused)
    return answer if to_set_up.refused else to_set_up


def _setup_refused(answer: Response) -> bool | None:
    if "x-influxdb-version" not in answer.fields:
        return None
    told = answer.json()
    if answer.status == 200 and isinstance(told, dict) and isinstance(told.get("allowed"), bool):
        return not told["allowed"]
    return True if answer.status == 404 else None  # version 1 knows no such thing


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "refused-documents.mongodb-without-login",
    principle=(FAIL_SECURE, DATA_FIRST),
    severity=Severity.CRITICAL,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="MongoDB weigert vragen van wie niet is ingelogd",
    why_nl="Open MongoDB-databases worden dagelijks gevonden, gewist en tegen losgeld aangeboden.",
    fix="printf 'security:\\n  authorization: enabled\\n' >> /etc/mongod.conf\nsystemctl restart mongod",
    verify="mongosh --host HOST --eval 'db.adminCommand({listDatabases: 1})'",
    references=("MongoDB manual, Security Checklist: enable access control",),
)
def mongodb_refuses(answer: MongodbAnswer) -> Verdict:
    """MongoDB refuses questions of who has not logged in.

    Open MongoDB databases are found every day, wiped and offered back for a ransom.
    """
    return holds(answer.refused, answer.said, "error 13: Unauthorized")


@check(
    "refused-documents.search-without-login",
    principle=(FAIL_SECURE, DATA_FIRST),
    severity=Severity.CRITICAL,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="Elasticsearch en OpenSearch weigeren vragen van wie niet is ingelogd",
    why_nl="In een zoekindex staat vaak alles bij elkaar: wie zonder aanmelding binnenkomt, leest het in één keer.",
    fix="echo 'xpack.security.enabled: true' >> /etc/elasticsearch/elasticsearch.yml\n"
    "systemctl restart elasticsearch\n/usr/share/elasticsearch/bin/elasticsearch-reset-password -u elastic",
    verify="curl https://HOST:9200/_cat/indices",
    references=("Elasticsearch guide, Security: set up minimal security",),
)
def search_refuses(answer: SearchAnswer) -> Verdict:
    """Elasticsearch and OpenSearch refuse questions of who has not logged in.

    A search index often holds everything together: without a login, who reaches the port reads it at one go.
    """
    return holds(answer.refused, answer.said, "HTTP 401")


@check(
    "refused-documents.couchdb-without-login",
    principle=(FAIL_SECURE, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="CouchDB vertelt wie niet is ingelogd niet welke databases er zijn",
    why_nl="Wie de namen van de databases kent, probeert ze één voor één; vanouds was ook de inhoud voor iedereen.",
    fix="printf '[chttpd]\\nrequire_valid_user = true\\nadmin_only_all_dbs = true\\n' >> /opt/couchdb/etc/local.ini\n"
    "systemctl restart couchdb",
    verify="curl http://HOST:5984/_all_dbs",
    references=("CouchDB documentation, 3.4 chttpd: require_valid_user, admin_only_all_dbs",),
)
def couchdb_refuses(answer: CouchdbAnswer) -> Verdict:
    """CouchDB does not tell who has not logged in which databases there are.

    Who knows the names of the databases tries them one by one; of old the contents were open to all too.
    """
    return holds(answer.refused, answer.said, "HTTP 401")


@check(
    "refused-documents.influxdb-without-login",
    principle=(FAIL_SECURE, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="database",
    title_nl="InfluxDB weigert vragen van wie niet is ingelogd",
    why_nl="Zonder aanmelding leest, vervalst en wist wie de poort bereikt alle metingen.",
    fix="sed -i 's/# *auth-enabled = false/auth-enabled = true/' /etc/influxdb/influxdb.conf\n"
    "systemctl restart influxdb",
    verify="curl 'http://HOST:8086/query?q=SHOW+DATABASES'; curl http://HOST:8086/api/v2/setup",
    references=(
        "InfluxDB documentation, Authentication and authorization",
        "InfluxDB OSS v2 API, Setup: GET /api/v2/setup",
    ),
    advice="Version 2 that was never set up takes whoever comes first for its administrator: run 'influx setup'.",
    advice_nl="Versie 2 die nooit is ingericht, maakt wie het eerst komt beheerder: voer 'influx setup' uit.",
)
def influxdb_refuses(answer: InfluxdbDoor) -> Verdict:
    """InfluxDB refuses questions of who has not logged in.

    Without a login, who reaches the port reads, forges and wipes all readings.
    """
    return holds(answer.refused, answer.said, "HTTP 401")


@check(
    "refused-documents.mongodb-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="MongoDB praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk alle vragen en antwoorden mee.",
    fix="printf 'net:\\n  tls:\\n    mode: requireTLS\\n    certificateKeyFile: /etc/mongod.pem\\n'"
    " >> /etc/mongod.conf\nsystemctl restart mongod",
    verify="mongosh --host HOST --eval 'db.hello()'",
    references=("MongoDB manual, Configure mongod and mongos for TLS/SSL: requireTLS", "BIO2 1.3, 8.21.04"),
)
def mongodb_clear_text_refused(answer: MongodbAnswer) -> Verdict:
    """MongoDB speaks over TLS only.

    Without TLS whoever listens in on the network reads all questions and answers.
    """
    return over_tls_only(answer)


@check(
    "refused-documents.search-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="database",
    title_nl="Elasticsearch en OpenSearch praten alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk wachtwoorden, vragen en antwoorden mee.",
    fix="printf 'xpack.security.http.ssl:\\n  enabled: true\\n  keystore.path: certs/http.p12\\n'"
    " >> /etc/elasticsearch/elasticsearch.yml\nsystemctl restart elasticsearch",
    verify="curl http://HOST:9200/",
    references=("Elasticsearch guide, Security: encrypt HTTP client communications", "BIO2 1.3, 8.21.04"),
)
def search_clear_text_refused(answer: SearchAnswer) -> Verdict:
    """Elasticsearch and OpenSearch speak over TLS only.

    Without TLS whoever listens in on the network reads passwords, questions and answers.
    """
    return over_tls_only(answer)


@check(
    "refused-documents.influxdb-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    platform="database",
    title_nl="InfluxDB praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk wachtwoorden en metingen mee, en verandert ze onderweg.",
    fix="sed -i 's/# *https-enabled = false/https-enabled = true/' /etc/influxdb/influxdb.conf\n"
    "systemctl restart influxdb",
    verify="curl http://HOST:8086/ping",
    references=("InfluxDB documentation, Enable HTTPS", "BIO2 1.3, 8.21.04"),
)
def influxdb_clear_text_refused(answer: InfluxdbAnswer) -> Verdict:
    """InfluxDB speaks over TLS only.

    Without TLS whoever listens in on the network reads passwords and readings, and changes them on their way.
    """
    return over_tls_only(answer)


# --- examples -------------------------------------------------------------------------------------------------

_OK: Final = b"\x01ok\0\0\0\0\0\0\0\xf0\x3f"
_NOT_OK: Final = b"\x01ok\0" + bytes(8)


def _mongodb(elements: bytes) -> dict[str, object]:
    return at("mongodb", clear=talk((_LIST_DATABASES, _message(_document(elements), 1))), secured=NO_TLS)


def _web(service: str, status: str, *fields: str, body: str = "") -> dict[str, object]:
    return at(service, clear=http(status, *fields, body=body), secured=NO_TLS)


_NAMES: Final = b"\x04databases\0" + _document(b"\x030\0" + _document(_text("name", "admin")))
_REQUIRES: Final = "Command listDatabases requires authentication"

examples(
    mongodb_refuses,
    passes=[
        _mongodb(_NOT_OK + _text("errmsg", _REQUIRES) + _int("code", 13) + _text("codeName", "Unauthorized")),
        at(
            "mongodb",
            clear=talk(end="closed"),
            secured=talk(end="reset", note="TLS: SSLV3_ALERT_BAD_CERTIFICATE"),
        ),
    ],
    fails=_mongodb(_NAMES + _OK),
    unknown=[
        _mongodb(
            _NOT_OK + _text("errmsg", "node is not in primary or recovering state") + _int("code", 13436)
        ),
        _mongodb(_OK),
        _mongodb(b"\x7fx\0"),
        at("mongodb", clear=talk((_LIST_DATABASES, b"It looks like")), secured=NO_TLS),
    ],
    error=at("mongodb", clear=SILENCE, secured=NO_TLS),
    notapplicable=at("http"),
)
_DENIED: Final = (
    '{"error":{"type":"security_exception","reason":"missing authentication credentials"},"status":401}'
)
_LICENCE: Final = (
    '{"error":{"type":"security_exception","reason":"current license is non-compliant for [security]"}}'
)
examples(
    search_refuses,
    passes=[
        _web("elasticsearch", "401 Unauthorized", 'WWW-Authenticate: Basic realm="security"', body=_DENIED),
        _web(
            "opensearch",
            "401 Unauthorized",
            'WWW-Authenticate: Basic realm="OpenSearch Security"',
            body="Unauthorized",
        ),
    ],
    fails=[
        _web("elasticsearch", "200 OK", "X-elastic-product: Elasticsearch", body='[{"index":"burgers"}]'),
        _web("opensearch", "200 OK", body="[]"),
    ],
    unknown=[
        _web("elasticsearch", "401 Unauthorized", 'WWW-Authenticate: Basic realm="proxy"'),
        _web("elasticsearch", "403 Forbidden", body=_LICENCE),
        _web("elasticsearch", "200 OK", body="<html>"),
        _web("elasticsearch", "503 Service Unavailable"),
        at(
            "elasticsearch",
            clear=talk((b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[]")),
            secured=NO_TLS,
        ),
    ],
    notapplicable=at("elasticsearch", clear=talk(b"SSH-2.0-x\r\n"), secured=NO_TLS),
)
_COUCH: Final = "Server: CouchDB/3.3.3 (Erlang OTP/24)"
examples(
    couchdb_refuses,
    passes=_web(
        "couchdb",
        "401 Unauthorized",
        _COUCH,
        body='{"error":"unauthorized","reason":"You are not a server admin."}',
    ),
    fails=_web("couchdb", "200 OK", _COUCH, body='["_replicator","_users","zaken"]'),
    unknown=[_web("couchdb", "200 OK", body="[]"), _web("couchdb", "404 Object Not Found", _COUCH)],
)
_INFLUX, _INFLUX_2 = "X-Influxdb-Version: 1.6.7~rc0", "X-Influxdb-Version: v2.7.6"
_NO_SETUP: Final = http("404 Not Found", _INFLUX, body="404 page not found\n")
_NO_TOKEN: Final = http(
    "401 Unauthorized", _INFLUX_2, body='{"code":"unauthorized","message":"Unauthorized"}'
)
_NO_ACCOUNT: Final = '{"error":"error authorizing query: create admin user first or disable authentication"}'


def _influxdb(answer: str, setup: str = _NO_SETUP) -> dict[str, object]:
    return at("influxdb", clear=answer, secured=NO_TLS, setup=setup, secured_setup=NO_TLS)


def _set_up(answer: str) -> dict[str, object]:
    return _influxdb(_NO_TOKEN, http("200 OK", _INFLUX_2, body=answer))


examples(
    influxdb_refuses,
    passes=[
        _influxdb(http("401 Unauthorized", _INFLUX, body='{"error":"unable to parse authentication credentials"}')),
        _set_up('{\n\t"allowed": false\n}'),
    ],
    fails=[
        _influxdb(http("200 OK", _INFLUX, body='{"results":[{"statement_id":0}]}')),
        _influxdb(http("403 Forbidden", _INFLUX, body=_NO_ACCOUNT)),
        _set_up('{\n\t"allowed": true\n}'),
    ],
    unknown=[
        _influxdb(http("401 Unauthorized")),
        _influxdb(http("404 Not Found", _INFLUX)),
        _influxdb(_NO_TOKEN, http("503 Service Unavailable", _INFLUX_2)),
        _influxdb(_NO_TOKEN, http("404 Not Found")),
        _set_up("{}"),
    ],
    error=_influxdb(_NO_TOKEN, SILENCE),
)  # fmt: skip

_UNAUTHORIZED_ANSWER: Final = _NOT_OK + _text("errmsg", _REQUIRES) + _int("code", _UNAUTHORIZED)


def _over_tls(service: str, words: str) -> dict[str, object]:
    return at(service, clear=talk(end="closed"), secured=words)


examples(
    mongodb_clear_text_refused,
    passes=_over_tls("mongodb", talk((_LIST_DATABASES, _message(_document(_UNAUTHORIZED_ANSWER), 1)))),
    fails=_mongodb(_UNAUTHORIZED_ANSWER),
)
examples(
    search_clear_text_refused,
    passes=_over_tls("elasticsearch", http("401 Unauthorized", body=_DENIED)),
    fails=_web("elasticsearch", "401 Unauthorized", body=_DENIED),
)
examples(
    influxdb_clear_text_refused,
    passes=_over_tls("influxdb", http("401 Unauthorized", _INFLUX)),
    fails=_web("influxdb", "401 Unauthorized", _INFLUX),
)
