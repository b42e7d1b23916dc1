"""What a real Docker engine, etcd and registry refuse and what not, as seen from outside; and Kubernetes as documented.

Not to be had through PyPI or Debian: a kubelet and the API server of Kubernetes. Their answers are those of the
documentation ("Kubelet authentication/authorization", "Authenticating: anonymous requests") and of the source of both
(pkg/kubelet/server/server.go: "Forbidden (user=%s, verb=%s, resource=%s, subresource=%s)", and "Unauthorized").
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import pytest

from scanner.model import Target
from tests.outside import look, state, told
from tests.servers.docker import docker_engine, registry
from tests.servers.etcd import demand_login, etcd
from tests.servers.programs import certificate
from tests.servers.recorded import recorded

pytestmark = pytest.mark.server

DOCKER, ETCD = "refused-containers.docker-without-login", "refused-containers.etcd-without-login"
REGISTRY = "refused-containers.registry-without-login"
KUBELET, KUBERNETES = (
    "refused-containers.kubelet-without-login",
    "refused-containers.kubernetes-without-login",
)
#: What the API server says to system:anonymous with the roles that come with Kubernetes.
_FORBIDDEN: Final = (
    '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces is forbidden: User '
    '\\"system:anonymous\\" cannot list resource \\"namespaces\\" in API group \\"\\" at the cluster scope","reason":'
    '"Forbidden","details":{"kind":"namespaces"},"code":403}'
)


def seen(target: Target, check: str) -> str:
    found = look(target, only=[check])[check]
    print(told(found))
    return str(state(found))


@pytest.mark.parametrize(
    ("tls", "demanded", "expected"), [(False, False, "fail"), (True, False, "fail"), (True, True, "pass")]
)
def test_docker(tls: bool, demanded: bool, expected: str) -> None:
    with docker_engine(tls=tls, certificates_demanded=demanded) as target:
        assert seen(target, DOCKER) == expected


def test_etcd_with_and_without_login(tmp_path: Path) -> None:
    with etcd(tmp_path / "etcd") as target:
        assert seen(target, ETCD) == "fail"
        assert seen(target, "refused-containers.etcd-clear-text") == "fail"
        demand_login(target)
        assert seen(target, ETCD) == "pass"


def test_etcd_with_an_open_store_of_version_2(tmp_path: Path) -> None:
    with etcd(tmp_path / "with", "--enable-v2=true") as target:
        demand_login(target)
        assert seen(target, ETCD) == "fail"
    with etcd(tmp_path / "without", "--enable-v2=false") as target:
        demand_login(target)
        assert seen(target, ETCD) == "pass"


@pytest.mark.parametrize(("demanded", "expected"), [(False, "fail"), (True, "pass")])
def test_etcd_over_tls(tmp_path: Path, demanded: bool, expected: str) -> None:
    with etcd(tmp_path / "etcd", tls=True, certificates_demanded=demanded) as target:
        assert seen(target, ETCD) == expected
        assert seen(target, "refused-containers.etcd-clear-text") == "pass"


@pytest.mark.parametrize(("login", "expected"), [(False, "fail"), (True, "pass")])
def test_registry(tmp_path: Path, login: bool, expected: str) -> None:
    with registry(tmp_path / "registry", login=login) as target:
        assert seen(target, REGISTRY) == expected


@pytest.mark.parametrize(
    ("service", "check", "status", "body", "expected"),
    [
        ("kubelet", KUBELET, "401 Unauthorized", "Unauthorized", "pass"),
        (
            "kubelet", KUBELET, "403 Forbidden",
            "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=proxy)", "pass",
        ),
        ("kubelet", KUBELET, "200 OK", '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}', "fail"),
        (
            "kubernetes", KUBERNETES, "403 Forbidden",
            _FORBIDDEN, "pass",
        ),
        ("kubernetes", KUBERNETES, "200 OK", '{"kind":"NamespaceList","apiVersion":"v1","items":[]}', "fail"),
    ],
)  # fmt: skip
def test_kubernetes_as_documented(
    tmp_path: Path, service: str, check: str, status: str, body: str, expected: str
) -> None:
    chain, key, _ = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with recorded(service, answer.encode(), context) as server:
        assert seen(server.target, check) == expected
        assert len(server.asked) == 1
