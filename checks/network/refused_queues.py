"""Whether message brokers and ZooKeeper refuse strangers, default accounts and clear text (seen from outside)."""

from __future__ import annotations

import base64
from typing import Final

from checks.network.asking import (
    MADE_UP,
    Answered,
    Response,
    asked_over_http,
    heard,
    judged,
    not_spoken,
    over_tls_only,
    request,
    said,
    spoken,
    twice,
)
from checks.network.example_talks import LOCKED, NO_TLS, SILENCE, at, http, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Dialogue,
    Each,
    Exchange,
    Impact,
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

_AMQP: Final = ("amqp", "amqps", "rabbitmq-amqp")
_MQTT: Final = ("mqtt", "mqtts")
_MANAGEMENT: Final = ("rabbitmq", "rabbitmq-management")
_GUEST: Final = "guest"


@fact
class AmqpStart(Answered):
    """How an AMQP broker opens: whether a login without a name is among the ways in that it offers."""


@fact
class AmqpGuest(Answered):
    """What an AMQP broker does with the account ``guest`` and its well-known password."""


@fact
class ManagementGuest(Answered):
    """What RabbitMQ's management API does with the account ``guest`` and its well-known password."""


@fact
class MqttConnect(Answered):
    """What an MQTT broker does with a client that gives no name."""


@fact
class ZookeeperCommand(Answered):
    """What ZooKeeper does with a command that tells of the machine it runs on."""


# --- AMQP 0-9-1 -----------------------------------------------------------------------------------------------

_HELLO: Final = "AMQP\0\0\x09\x01"
#: A frame: type, channel, length of the payload in four bytes, payload, end mark (specification 0-9-1, 4.2.3).
_FRAME: Final = (3, 4, 8)
_START, _TUNE, _CLOSE = (10, 10), (10, 30), (10, 50)
_ACCESS_REFUSED: Final = 403


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _method(number: tuple[int, int], arguments: bytes) -> bytes:
    payload = number[0].to_bytes(2, "big") + number[1].to_bytes(2, "big") + arguments
    return b"\x01\0\0" + _long(payload) + b"\xce"


def _start_ok() -> str:
    """Connection.Start-Ok with PLAIN (RFC 4616); as one who wants to be told why he is refused."""
    capabilities = _short("authentication_failure_close") + b"t\x01"
    properties = _short("capabilities") + b"F" + _long(capabilities)
    login = f"\0{_GUEST}\0{_GUEST}".encode()
    return _method((10, 11), _long(properties) + _short("PLAIN") + _long(login) + _short("en_US")).decode(
        "latin-1"
    )


def _frame(data: bytes, exchange: Exchange) -> tuple[tuple[int, int], bytes]:
    """The number of the method in the first frame, and its arguments."""
    length = int.from_bytes(data[3:7], "big")
    if data[:3] != b"\x01\0\0" or len(data) < length + 8 or data[length + 7] != 0xCE or length < 4:
        raise not_spoken(exchange, "AMQP 0-9-1")
    return (int.from_bytes(data[7:9], "big"), int.from_bytes(data[9:11], "big")), data[11 : length + 7]


def _speaks_amqp(exchange: Exchange) -> bool:
    return exchange.received[:3] == b"\x01\0\0" and exchange.received[7:11] == b"\0\x0a\0\x0a"


def _mechanisms(exchange: Exchange) -> tuple[str, ...]:
    """Connection.Start: version, a table of properties, then the mechanisms, separated by spaces."""
    method, arguments = _frame(exchange.turns[0].received, exchange)
    table = int.from_bytes(arguments[2:6], "big")
    words = arguments[6 + table :]
    length = int.from_bytes(words[:4], "big")
    if method != _START or not length or len(words) < 4 + length:
        raise NotUnderstood("Connection.Start names no mechanisms")
    return tuple(words[4 : 4 + length].decode("ascii").split())


@probe("outside", **twice(_AMQP, "AMQP: which ways to log in", Say(_HELLO, frame=_FRAME)))
def amqp_start(clear: Raw, secured: Raw, port: OpenPort) -> AmqpStart:
    """AMQP 0-9-1 specification, section 1.4.2.1 "connection.start"."""
    found = spoken(clear, secured, _speaks_amqp, "AMQP")
    return judged(
        AmqpStart,
        port,
        found,
        lambda exchange: "ANONYMOUS" not in _mechanisms(exchange),
        lambda exchange: f"mechanisms: {', '.join(_mechanisms(exchange))}",
    )


@probe(
    "outside",
    **twice(
        _AMQP,
        "AMQP: guest with its well-known password",
        Say(_HELLO, frame=_FRAME),
        Say(_start_ok(), frame=_FRAME),
        impact=Impact.TRY,
    ),
)
def amqp_guest(clear: Raw, secured: Raw, port: OpenPort) -> AmqpGuest:
    """Connection.Tune means that the login was good, Connection.Close with 403 that it was not."""
    return judged(AmqpGuest, port, spoken(clear, secured, _speaks_amqp, "AMQP"), _guest_refused)


def _guest_refused(exchange: Exchange) -> bool:
    offered = _mechanisms(exchange)
    if "PLAIN" not in offered:
        if "AMQPLAIN" in offered:
            raise NotUnderstood("passwords go by AMQPLAIN alone, which is not tried")
        return True
    if len(exchange.turns) < 2:
        raise NotUnderstood("no answer to the login")
    method, arguments = _frame(exchange.turns[1].received, exchange)
    if method == _TUNE:
        return False
    if method == _CLOSE and int.from_bytes(arguments[:2], "big") == _ACCESS_REFUSED:
        return True
    raise NotUnderstood(f"an answer that is neither in nor out: method {method}")


@probe(
    "outside",
    **twice(
        _MANAGEMENT,
        "RabbitMQ management: guest with its well-known password",
        Say(
            request(
                "/api/whoami",
                f"Authorization: Basic {base64.b64encode(f'{_GUEST}:{_GUEST}'.encode()).decode()}",
            )
        ),
        impact=Impact.TRY,
    ),
)
def management_guest(clear: Raw, secured: Raw, port: OpenPort) -> ManagementGuest:
    """RabbitMQ documentation, "Management HTTP API": /api/whoami."""
    return asked_over_http(ManagementGuest, port, (clear, secured), "RabbitMQ", _management_refused)


def _management_refused(answer: Response) -> bool | None:
    told = answer.json()
    if not isinstance(told, dict):
        return None
    if answer.status == 401 and told.get("error") in ("not_authorised", "not_authorized"):
        return True
    return False if answer.status == 200 and told.get("name") == _GUEST else None


# --- MQTT -----------------------------------------------------------------------------------------------------

#: Return codes that refuse (MQTT 3.1.1, 3.2.2.3): bad user name or password, not authorised.
_MQTT_REFUSES: Final = (4, 5)


def _connect() -> str:
    """CONNECT, protocol level 4, a clean session without a name, 60 seconds."""
    body = f"\0\4MQTT\4\2\0\x3c\0{chr(len(MADE_UP))}{MADE_UP}"
    return f"\x10{chr(len(body))}{body}"


def _speaks_mqtt(exchange: Exchange) -> bool:
    answer = exchange.received
    return len(answer) >= 4 and answer[:2] == b"\x20\x02" and answer[2] in (0, 1)


@probe(
    "outside",
    **twice(
        _MQTT,
        "MQTT: a connection without a name",
        Say(_connect(), until="^.{4}"),
        Say("\xe0\0", until="^"),
    ),
)
def mqtt_connect(clear: Raw, secured: Raw, port: OpenPort) -> MqttConnect:
    """CONNACK, MQTT 3.1.1 section 3.2; whoever got in says goodbye (DISCONNECT)."""
    return judged(
        MqttConnect,
        port,
        spoken(clear, secured, _speaks_mqtt, "MQTT"),
        _connection_refused,
        lambda exchange: f"CONNACK with return code {exchange.received[3]}",
    )


def _connection_refused(exchange: Exchange) -> bool:
    code = exchange.received[3]
    if code not in (0, *_MQTT_REFUSES):
        raise NotUnderstood(f"neither in nor out: CONNACK with return code {code}")
    return code != 0


# --- ZooKeeper ------------------------------------------------------------------------------------------------


@probe(
    "outside",
    command=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="ZooKeeper: the command envi", port=port.number, turns=(Say("envi"),), impact=Impact.KNOCK
        ),
        when=lambda port: port.service == "zookeeper",
    ),
)
def zookeeper_command(command: Raw, port: OpenPort) -> ZookeeperCommand:
    """ZooKeeper Administrator's Guide, "The Four Letter Words"."""
    exchange = heard(command)
    answer = exchange.received
    if answer.startswith(b"Environment:\n"):
        return ZookeeperCommand(port.number, False, said(exchange))
    if answer.startswith(b"envi is not executed because it is not in the whitelist."):
        return ZookeeperCommand(port.number, True, said(exchange))
    raise not_spoken(exchange, "ZooKeeper")


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "refused-queues.amqp-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De message broker (AMQP) praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk de wachtwoorden en alle berichten mee.",
    fix="printf 'listeners.tcp = none\\nlisteners.ssl.default = 5671\\n"
    "ssl_options.certfile = /etc/rabbitmq/server.pem\\n"
    "ssl_options.keyfile = /etc/rabbitmq/server.key\\n' >> /etc/rabbitmq/rabbitmq.conf\n"
    "systemctl restart rabbitmq-server",
    verify="rabbitmqctl status --formatter json | jq .listeners",
    references=("RabbitMQ documentation, TLS Support", "BIO2 1.3, 8.21.04"),
)
def amqp_clear_text_refused(start: AmqpStart) -> Verdict:
    """The message broker (AMQP) speaks over TLS only.

    Without TLS whoever listens in on the network reads the passwords and all messages.
    """
    return over_tls_only(start)


@check(
    "refused-queues.amqp-anonymous",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="De message broker (AMQP) biedt geen aanmelding zonder naam aan",
    why_nl="Wie zonder naam binnenkomt, leest of plaatst berichten waar niemand op aan te spreken is.",
    fix="printf 'auth_mechanisms.1 = PLAIN\\nanonymous_login_user = none\\n' >> /etc/rabbitmq/rabbitmq.conf\n"
    "systemctl restart rabbitmq-server",
    verify="rabbitmqctl environment | grep -A4 auth_mechanisms",
    references=("RFC 4505", "RabbitMQ documentation, Access Control: authentication mechanisms"),
)
def amqp_anonymous_not_offered(start: AmqpStart) -> Verdict:
    """The message broker (AMQP) offers no login without a name.

    Who comes in without a name reads or leaves messages that nobody can be held to account for.
    """
    return holds(start.refused, start.said, "without ANONYMOUS")


@check(
    "refused-queues.amqp-guest",
    principle=(SECURE_DEFAULT, FAIL_SECURE),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="RabbitMQ weigert het account guest met het bekende wachtwoord",
    why_nl="Guest is beheerder, en zijn wachtwoord staat in elke handleiding.",
    fix="rabbitmqctl delete_user guest",
    verify="rabbitmqctl list_users",
    references=("RabbitMQ documentation, Access Control: default virtual host and user",),
)
def amqp_guest_refused(login: AmqpGuest) -> Verdict:
    """RabbitMQ refuses the account guest with its well-known password.

    Guest is an administrator, and its password stands in every manual.
    """
    return holds(login.refused, f"guest: {'refused' if login.refused else 'logged in'}", "refused")


@check(
    "refused-queues.management-guest",
    principle=(SECURE_DEFAULT, FAIL_SECURE),
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    title_nl="Het beheer van RabbitMQ weigert het account guest met het bekende wachtwoord",
    why_nl="Wie als guest in het beheer komt, leest alle berichten en maakt nieuwe beheerders.",
    fix="rabbitmqctl delete_user guest",
    verify="curl -u guest:guest http://HOST:15672/api/whoami",
    references=("RabbitMQ documentation, Management Plugin: permissions",),
)
def management_guest_refused(login: ManagementGuest) -> Verdict:
    """The management of RabbitMQ refuses the account guest with its well-known password.

    Who gets into the management as guest reads all messages and makes new administrators.
    """
    return holds(login.refused, f"guest: {'refused' if login.refused else 'logged in'}", "refused")


@check(
    "refused-queues.mqtt-anonymous",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="De MQTT-broker weigert wie geen naam geeft",
    why_nl="Via MQTT praten sensoren en installaties: wie zonder naam binnenkomt, leest mee en stuurt opdrachten.",
    fix="printf 'allow_anonymous false\\npassword_file /etc/mosquitto/passwd\\n' > /etc/mosquitto/conf.d/login.conf\n"
    "systemctl restart mosquitto",
    verify="mosquitto_sub -h HOST -t '$SYS/broker/version' -C 1 -W 3",
    references=("MQTT 3.1.1, section 5.4.1", "mosquitto.conf(5): allow_anonymous"),
)
def mqtt_anonymous_refused(connect: MqttConnect) -> Verdict:
    """The MQTT broker refuses who gives no name.

    Sensors and installations talk over MQTT: who comes in without a name listens in and gives orders.
    """
    return holds(connect.refused, connect.said, "return code 4 or 5")


@check(
    "refused-queues.mqtt-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De MQTT-broker praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk de wachtwoorden mee en verandert hij metingen onderweg.",
    fix="printf 'listener 8883\\ncertfile /etc/mosquitto/server.pem\\nkeyfile /etc/mosquitto/server.key\\n'"
    " > /etc/mosquitto/conf.d/tls.conf\nsystemctl restart mosquitto",
    verify="mosquitto_sub -h HOST -p 1883 -t '$SYS/broker/version' -C 1 -W 3",
    references=("MQTT 3.1.1, section 5.4.5", "mosquitto.conf(5): certfile", "BIO2 1.3, 8.21.04"),
)
def mqtt_clear_text_refused(connect: MqttConnect) -> Verdict:
    """The MQTT broker speaks over TLS only.

    Without TLS whoever listens in on the network reads the passwords and changes readings on their way.
    """
    return over_tls_only(connect)


@check(
    "refused-queues.zookeeper-commands",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    title_nl="ZooKeeper weigert beheeropdrachten van een vreemde",
    why_nl="Deze opdrachten kennen geen aanmelding: ze vertellen wie de poort bereikt alles over de machine.",
    fix="echo '4lw.commands.whitelist=srvr' >> /etc/zookeeper/conf/zoo.cfg\nsystemctl restart zookeeper",
    verify="echo envi | nc HOST 2181",
    references=("ZooKeeper Administrator's Guide: 4lw.commands.whitelist",),
)
def zookeeper_commands_refused(command: ZookeeperCommand) -> Verdict:
    """ZooKeeper refuses administrative commands of a stranger.

    These commands know no login: they tell who reaches the port everything about the machine.
    """
    return holds(command.refused, command.said, "not in the whitelist")


# --- examples -------------------------------------------------------------------------------------------------


def _opened(mechanisms: str) -> bytes:
    """Connection.Start as RabbitMQ gives it, with few properties."""
    properties = _short("product") + b"S" + _long(b"RabbitMQ")
    return _method(_START, b"\0\x09" + _long(properties) + _long(mechanisms.encode()) + _long(b"en_US"))


_NORMAL: Final = "PLAIN AMQPLAIN"
_TUNED: Final = _method(_TUNE, b"\x07\xff\0\x02\0\0\0\x3c")
_CLOSED: Final = _method(_CLOSE, b"\x01\x93" + _short("ACCESS_REFUSED - Login was refused") + bytes(4))
_BLOCKED: Final = _method(_CLOSE, b"\x02\x12" + _short("NOT_ALLOWED") + bytes(4))


def _amqp(*answers: bytes, mechanisms: str = _NORMAL, over_tls: bool = False) -> dict[str, object]:
    words = talk((b"AMQP", _opened(mechanisms)), *((b"login", answer) for answer in answers))
    return at("amqp", clear=talk(end="closed") if over_tls else words, secured=words if over_tls else NO_TLS)


def _mqtt(code: int, over_tls: bool = False) -> dict[str, object]:
    words = talk((b"CONNECT", b"\x20\x02\0" + bytes([code])), (b"\xe0\0", b""))
    return at("mqtt", clear=talk(end="closed") if over_tls else words, secured=words if over_tls else NO_TLS)


def _managed(*answer: str, body: str = "") -> dict[str, object]:
    return at("rabbitmq", clear=http(*answer, body=body), secured=NO_TLS)


def _zookeeper(answer: bytes) -> dict[str, object]:
    return at("zookeeper", command=talk((b"envi", answer), end="closed"))


_LOCKED: Final = {"clear": talk(end="closed"), "secured": LOCKED}

examples(
    amqp_clear_text_refused,
    passes=[_amqp(over_tls=True), at("amqp", **_LOCKED)],
    fails=_amqp(),
    unknown=at("amqp", clear=talk(b"AMQP\0\1\0\0", end="closed"), secured=NO_TLS),
    error=[
        at("amqp", clear=SILENCE, secured=NO_TLS),
        at("amqp", clear=SILENCE, secured=talk((b"AMQP", _opened(_NORMAL)))),
    ],
    notapplicable=at("http"),
)
examples(
    amqp_anonymous_not_offered,
    passes=[_amqp(), _amqp(mechanisms="EXTERNAL", over_tls=True)],
    fails=_amqp(mechanisms="ANONYMOUS PLAIN AMQPLAIN"),
    unknown=_amqp(mechanisms=""),
)
examples(
    amqp_guest_refused,
    passes=[
        _amqp(_CLOSED),
        _amqp(mechanisms="EXTERNAL"),
        _amqp(_CLOSED, over_tls=True),
        at("amqp", **_LOCKED),
    ],
    fails=[_amqp(_TUNED), _amqp(_TUNED, over_tls=True)],
    unknown=[_amqp(_BLOCKED), _amqp(), _amqp(b""), _amqp(mechanisms="AMQPLAIN")],
)
examples(
    management_guest_refused,
    passes=_managed(
        "401 Unauthorized", "server: Cowboy", body='{"error":"not_authorised","reason":"Login failed"}'
    ),
    fails=_managed("200 OK", "server: Cowboy", body='{"name":"guest","tags":["administrator"]}'),
    unknown=[_managed("401 Unauthorized"), _managed("200 OK", body="<html>"), _managed("404 Not Found")],
    notapplicable=at("rabbitmq", clear=talk(b"SSH-2.0-x\r\n"), secured=NO_TLS),
)
examples(
    mqtt_anonymous_refused,
    passes=[_mqtt(5), _mqtt(4), _mqtt(5, over_tls=True), at("mqtt", **_LOCKED)],
    fails=[_mqtt(0), _mqtt(0, over_tls=True)],
    unknown=[_mqtt(3), at("mqtt", clear=talk(end="closed"), secured=NO_TLS)],
    notapplicable=at("http"),
)
examples(mqtt_clear_text_refused, passes=_mqtt(5, over_tls=True), fails=[_mqtt(5), _mqtt(0)])
examples(
    zookeeper_commands_refused,
    passes=_zookeeper(b"envi is not executed because it is not in the whitelist.\n"),
    fails=_zookeeper(b"Environment:\nzookeeper.version=3.8.0-1\nhost.name=queue\n"),
    unknown=[_zookeeper(b""), _zookeeper(b"This ZooKeeper instance is not currently serving requests\n")],
    notapplicable=at("http"),
)
