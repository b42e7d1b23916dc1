"""What a CA publishes, on loopback: an OCSP responder (the answers are openssl's) and a place for its CRL."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.servers.authority import Authority, Issued

_NAMED: Final = x509.UniformResourceIdentifier("http://crl.lab.test/delta.crl")
#: What a CRL may say of itself, and whether that is critical.
_EXTENSIONS: Final[dict[str, tuple[x509.ExtensionType, bool]]] = {
    "indirect": (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True),
    "some-reasons": (
        x509.IssuingDistributionPoint(
            None, None, False, False, frozenset({x509.ReasonFlags.key_compromise}), False, False
        ),
        True,
    ),
    "with-delta": (x509.FreshestCRL([x509.DistributionPoint([_NAMED], None, None, None)]), False),
}


class Publisher:
    """The publishing side of an authority, or of ``ca``; change its fields and it answers otherwise.

    ``ocsp``: good, revoked, unknown, stale, stranger (another signs), or gone (no answer). ``crl``: empty, revoked,
    stale, stranger, renewed (signed with another key of the CA), cut (short), gone, or one of `_EXTENSIONS`.
    ``responder`` signs OCSP answers in the place of the CA. ``asked`` counts the requests.
    """

    def __init__(self, lab: Authority, folder: Path, port: int) -> None:
        self.lab, self.folder, self.port = lab, folder, port
        self.ca = lab.issuing
        self.other = Authority(lab.now, "Stranger", keys=2000)
        self.ocsp, self.crl, self.asked = "good", "empty", 0
        self.about: x509.Certificate | None = None
        self.responder: Issued | None = None

    @property
    def urls(self) -> dict[str, str]:
        """For `Authority.issue`."""
        place = f"http://127.0.0.1:{self.port}"
        return {"ocsp": f"{place}/ocsp", "crl": f"{place}/issuing.crl"}

    @property
    def host(self) -> str:
        """For ``revocation_hosts``."""
        return f"127.0.0.1:{self.port}"

    def issue(self, **deviations: object) -> Issued:
        """A certificate that names this publisher, and that it will speak of."""
        issued = self.lab.issue(**self.urls, **deviations)  # type: ignore[arg-type]
        self.about = issued.certificate
        return issued

    def answer(self, request: bytes) -> bytes | None:
        """The OCSP answer to a request (DER); None for none at all."""
        assert self.about is not None
        if self.ocsp == "gone":
            return None
        if self.ocsp == "stale":
            return self._stale()
        signer = self.other.issuing if self.ocsp == "stranger" else self.responder or self.ca
        self._write(signer)
        (self.folder / "request.der").write_bytes(request)
        program = shutil.which("openssl")
        assert program, "these tests need openssl"
        subprocess.run(
            [
                program, "ocsp", "-index", "index.txt", "-CA", "issuing.pem", "-rsigner", "signer.pem", "-rkey",
                "signer.key", "-reqin", "request.der", "-respout", "answer.der", "-ndays", "1", "-noverify",
            ],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return (self.folder / "answer.der").read_bytes()

    def _write(self, signer: Issued) -> None:
        assert self.about is not None
        serial = f"{self.about.serial_number:X}"
        serial = serial.zfill(len(serial) + len(serial) % 2)
        ends = f"{self.about.not_valid_after_utc:%y%m%d%H%M%SZ}"
        past = f"{datetime.now(UTC) - timedelta(days=1):%y%m%d%H%M%SZ}"
        rows = {
            "revoked": f"R\t{ends}\t{past}\t{serial}\tunknown\t/CN=x\n",
            "unknown": f"V\t{ends}\t\t01\tunknown\t/CN=x\n",
        }
        row = rows.get(self.ocsp, f"V\t{ends}\t\t{serial}\tunknown\t/CN=x\n")
        (self.folder / "index.txt").write_text(row)
        (self.folder / "index.txt.attr").write_text("unique_subject = no\n")
        (self.folder / "issuing.pem").write_bytes(self.ca.pem)
        (self.folder / "signer.pem").write_bytes(signer.certificate.public_bytes(Encoding.PEM))
        (self.folder / "signer.key").write_bytes(signer.key_pem)

    def _stale(self) -> bytes:
        assert self.about is not None
        then = datetime.now(UTC) - timedelta(days=20)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.about, issuer=self.ca.certificate, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD, this_update=then, next_update=then + timedelta(days=2),
            revocation_time=None, revocation_reason=None,
        ).responder_id(ocsp.OCSPResponderEncoding.HASH, self.ca.certificate)  # fmt: skip
        return builder.sign(self.ca.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def list(self) -> bytes | None:
        """The CRL (DER); None for none at all."""
        if self.crl == "gone":
            return None
        began = datetime.now(UTC) - timedelta(days=20 if self.crl == "stale" else 1)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.ca.certificate.subject)
            .last_update(began)
            .next_update(began + timedelta(days=7))
        )
        kind, _, revoked = self.crl.rpartition(" ")
        if revoked == "revoked":
            assert self.about is not None
            entry = x509.RevokedCertificateBuilder().serial_number(self.about.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(began).build())
        signer = self.other.issuing if self.crl in {"stranger", "renewed"} else self.ca
        if self.crl == "renewed":
            named = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
            builder = builder.add_extension(named, critical=False)
        if extension := _EXTENSIONS.get(kind or self.crl):
            builder = builder.add_extension(*extension)
        made = builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        return made[:-9] if self.crl == "cut" else made


@contextmanager
def publishing(lab: Authority, folder: Path) -> Iterator[Publisher]:
    """A publisher on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._give(publisher.answer(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._give(publisher.list())

        def _give(self, body: bytes | None) -> None:
            publisher.asked += 1
            self.send_response(503 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Nothing: the tests say what they saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    publisher = Publisher(lab, folder, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
