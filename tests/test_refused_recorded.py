"""SQL Server and Oracle, as their makers document them: neither is to be had through PyPI or Debian.

- SQL Server: MS-TDS, "Pre-Login Response" (section 4), with the byte of B_FENCRYPTION as the table of section 2.2.6.5
  has it for a client that sends ENCRYPT_NOT_SUP: 2 from a server that is set to ENCRYPT_OFF, 3 from one set to
  ENCRYPT_ON.
- Oracle: the layout of a refusal is that of Oracle's own driver (RefusePacket: two reasons, a length, the words); the
  words and numbers those of "Oracle Database Error Messages" (TNS-01189) and "Net Services Reference".

Beside the bytes, the whole way is real: ports, connection, frames, judging.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.programs import certificate
from tests.servers.recorded import recorded

pytestmark = pytest.mark.server

MSSQL, ORACLE = "refused-mssql.clear-text", "refused-oracle.listener-state"


def seen(target: Target, check: str) -> str:
    found = look(target, only=[check])[check]
    print(told(found))
    return str(state(found))


def _prelogin(encryption: int) -> bytes:
    return bytes.fromhex(
        "0401002b00000100 00001a0006 0100200001 0200210001 0300220000 0400220001 ff"
        f"0b000bb80000 {encryption:02x} 00 01"
    )


def _tns(kind: int, data: bytes) -> bytes:
    return (8 + len(data)).to_bytes(2, "big") + b"\0\0" + bytes([kind]) + b"\0\0\0" + data


_WORDS = b"(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189)(ERROR_STACK=(ERROR=(CODE=1189)(EMFI=4))))"
_REFUSAL = _tns(4, b"\x22\0" + len(_WORDS).to_bytes(2, "big") + _WORDS)
_ACCEPTED = _tns(2, bytes.fromhex("0136000008007fff000100000018"))
_STATE = _tns(
    6, b"\0\0(DESCRIPTION=(TMP=)(VSNNUM=153093376)(ERR=0)(ALIAS=LISTENER)(SECURITY=OFF)(VERSION=TNSLSNR))"
)


@pytest.mark.parametrize(("encryption", "expected"), [(3, "pass"), (2, "fail"), (0, "unknown")])
def test_sql_server(encryption: int, expected: str) -> None:
    with recorded("mssql", _prelogin(encryption)) as server:
        assert seen(server.target, MSSQL) == expected
        assert [asked[0] for asked in server.asked] == [0x12]


def test_sql_server_with_tls_first(tmp_path: Path) -> None:
    chain, key, _ = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with recorded("mssql", _prelogin(2), context) as server:
        assert seen(server.target, MSSQL) == "pass"


@pytest.mark.parametrize(
    ("answer", "expected"), [(_REFUSAL, "pass"), (_ACCEPTED + _STATE, "fail"), (_ACCEPTED, "unknown")]
)
def test_oracle(answer: bytes, expected: str) -> None:
    with recorded("oracle", answer) as server:
        assert seen(server.target, ORACLE) == expected
        (asked,) = server.asked
        assert int.from_bytes(asked[:2], "big") == len(asked)
        assert asked[58:] == b"(CONNECT_DATA=(COMMAND=status))"
