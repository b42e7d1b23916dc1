"""Whether what runs containers refuses who has not logged in: Docker, Kubernetes, etcd, registries (from outside)."""

from __future__ import annotations

from typing import Final

from checks.network.asking import Answered, Response, asked_over_http, over_tls_only, request, twice
from checks.network.example_talks import NO_TLS, SILENCE, at, http, talk
from checks.network.ports import OpenPort
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
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

_ETCD: Final = ("etcd", "etcds")
#: The second is the port for reading, that nobody need log in to: older clusters still open it.
_KUBELET: Final = ("kubelet", "kubelet-open")
_KUBERNETES: Final = ("kubernetes", "kube-apiserver")
#: The key "keurmeester-test", in base64 as etcd wants it.
_KEY: Final = '{"key":"a2V1cm1lZXN0ZXItdGVzdA=="}'
#: Of the store of version 2: no such key; a login is required (v2 API, "Errors").
_NO_KEY, _NO_LOGIN = 100, 110
#: RPC status codes of gRPC: invalid argument (as etcd 3 says it of a missing name), permission denied, unauthenticated.
_RPC_REFUSES: Final = (3, 7, 16)


@fact
class DockerAnswer(Answered):
    """What the Docker engine did when somebody who has not logged in asked which containers there are."""


@fact
class EtcdAnswer(Answered):
    """What etcd did when somebody who has not logged in asked for a key that is not there."""


@fact
class EtcdStores(Answered):
    """The same of both its stores: the one of version 2, which older servers have besides, has logins of its own."""


@fact
class KubeletAnswer(Answered):
    """What a kubelet did when somebody who has not logged in asked which pods it runs."""


@fact
class KubernetesAnswer(Answered):
    """What the Kubernetes API did when somebody who has not logged in asked for the namespaces."""


@fact
class RegistryAnswer(Answered):
    """What a container registry did with somebody who has not logged in."""


@probe(
    "outside",
    **twice(
        ("docker", "dockers"),
        "Docker: the containers, without logging in",
        Say(request("/containers/json?limit=1")),
    ),
)
def docker_answer(clear: Raw, secured: Raw, port: OpenPort) -> DockerAnswer:
    """Docker Engine API: ContainerList."""
    return asked_over_http(DockerAnswer, port, (clear, secured), "Docker", _docker_refused)


def _docker_refused(answer: Response) -> bool | None:
    engine = "api-version" in answer.fields or answer.fields.get("server", "").startswith(
        ("Docker/", "Libpod/")
    )
    if not engine:
        return None
    if answer.status == 200 and isinstance(answer.json(), list):
        return False
    return True if answer.status in (401, 403) else None


_NEW_STORE: Final = twice(
    _ETCD,
    "etcd: a key that is not there, without logging in",
    Say(request("/v3/kv/range", method="POST", body=_KEY)),
)
_OLD_STORE: Final = twice(
    _ETCD,
    "etcd: a key that is not there in the store of version 2, without logging in",
    Say(request("/v2/keys/keurmeester-test")),
)


@probe("outside", **_NEW_STORE)
def etcd_answer(clear: Raw, secured: Raw, port: OpenPort) -> EtcdAnswer:
    """etcd documentation, "gRPC gateway": a question is a POST, and changes nothing."""
    return asked_over_http(EtcdAnswer, port, (clear, secured), "etcd", _etcd_refused)


@probe("outside", **_NEW_STORE, old=_OLD_STORE["clear"], secured_old=_OLD_STORE["secured"])
def etcd_stores(clear: Raw, secured: Raw, old: Raw, secured_old: Raw, port: OpenPort) -> EtcdStores:
    """etcd documentation of 2.3, "v2 API" and "v2 Auth and Security"; before 3.4 the gateway was at another path."""
    try:
        answer = asked_over_http(EtcdStores, port, (clear, secured), "etcd", _etcd_refused)
    except NotUnderstood:
        older = asked_over_http(EtcdStores, port, (old, secured_old), "etcd", _old_store_refused)
        if older.refused:
            raise
        return older
    if answer.refused:
        older = asked_over_http(EtcdStores, port, (old, secured_old), "etcd", _old_store_refused)
        return answer if older.refused else older
    return answer


def _etcd_refused(answer: Response) -> bool | None:
    told = answer.json()
    if not isinstance(told, dict):
        return None
    header = told.get("header")
    if answer.status == 200 and isinstance(header, dict) and "cluster_id" in header:
        return False
    error = str(told.get("error") or told.get("message"))
    named = error.startswith("etcdserver: ") and (
        "user name is empty" in error or "permission denied" in error
    )
    return True if answer.status in (400, 401, 403) and named and told.get("code") in _RPC_REFUSES else None


def _old_store_refused(answer: Response) -> bool | None:
    if answer.status == 404 and answer.body == b"404 page not found\n":
        return True  # there is no such store
    told = answer.json()
    if not isinstance(told, dict):
        return None
    if answer.status == 200 and told.get("action") == "get":
        return False
    if (answer.status, told.get("errorCode")) == (404, _NO_KEY):
        return False
    return True if (answer.status, told.get("errorCode")) == (401, _NO_LOGIN) else None


@probe("outside", **twice(_KUBELET, "kubelet: the pods, without logging in", Say(request("/pods"))))
def kubelet_answer(clear: Raw, secured: Raw, port: OpenPort) -> KubeletAnswer:
    """Kubernetes documentation, "Kubelet authentication/authorization"."""
    return asked_over_http(KubeletAnswer, port, (clear, secured), "a kubelet", _kubelet_refused)


def _kubelet_refused(answer: Response) -> bool | None:
    told = answer.json()
    if answer.status == 200 and isinstance(told, dict) and told.get("kind") == "PodList":
        return False
    body = answer.body.strip()
    refused = (answer.status == 401 and body == b"Unauthorized") or (
        answer.status == 403 and body.startswith(b"Forbidden (user=system:anonymous")
    )
    return True if refused else None


@probe(
    "outside",
    **twice(
        _KUBERNETES,
        "Kubernetes: the namespaces, without logging in",
        Say(request("/api/v1/namespaces?limit=1")),
    ),
)
def kubernetes_answer(clear: Raw, secured: Raw, port: OpenPort) -> KubernetesAnswer:
    """Kubernetes API reference: list Namespace; a refusal is a Status."""
    return asked_over_http(KubernetesAnswer, port, (clear, secured), "Kubernetes", _kubernetes_refused)


def _kubernetes_refused(answer: Response) -> bool | None:
    told = answer.json()
    if not isinstance(told, dict):
        return None
    if answer.status == 200 and told.get("kind") == "NamespaceList":
        return False
    return True if answer.status in (401, 403) and told.get("kind") == "Status" else None


@probe("outside", **twice(("registry",), "registry: without logging in", Say(request("/v2/"))))
def registry_answer(clear: Raw, secured: Raw, port: OpenPort) -> RegistryAnswer:
    """OCI Distribution Specification 1.1, "Determining Support"; the header is that of the Docker registry API v2."""
    return asked_over_http(RegistryAnswer, port, (clear, secured), "a registry", _registry_refused)


def _registry_refused(answer: Response) -> bool | None:
    if not answer.fields.get("docker-distribution-api-version", "").startswith("registry/"):
        return None
    if answer.status == 401 and "www-authenticate" in answer.fields:
        return True
    return False if answer.status == 200 else None


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "refused-containers.docker-without-login",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="De Docker-engine weigert opdrachten van wie zich niet met een certificaat meldt",
    why_nl="Wie containers mag starten, is root op de machine: de socket over TCP is een beheerpoort zonder slot.",
    fix='printf \'{"hosts": ["unix:///run/docker.sock"]}\\n\' > /etc/docker/daemon.json\nsystemctl restart docker',
    verify="curl http://HOST:2375/containers/json",
    references=("Docker documentation, Protect the Docker daemon socket",),
)
def docker_refuses(answer: DockerAnswer) -> Verdict:
    """The Docker engine refuses orders of who does not show a certificate.

    Who may start containers is root on the machine: the socket over TCP is a management port without a lock.
    """
    return holds(answer.refused, answer.said, "a client certificate is demanded, HTTP 401 or 403")


@check(
    "refused-containers.etcd-without-login",
    principle=(FAIL_SECURE, DATA_FIRST),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="Etcd weigert vragen van wie niet is ingelogd",
    why_nl="In etcd staat alles van een cluster, ook de geheimen: wie het leest, heeft het cluster.",
    fix="etcdctl user add root\netcdctl auth enable",
    verify='curl -X POST -d \'{"key":"a2V1cm1lZXN0ZXItdGVzdA=="}\' http://HOST:2379/v3/kv/range\n'
    "curl http://HOST:2379/v2/keys/keurmeester-test",
    references=(
        "etcd documentation, Role-based access control",
        "etcd documentation, Transport security model",
        "etcd documentation 2.3, v2 Auth and Security",
    ),
    advice="The store of version 2 has logins of its own: when nothing uses it, start etcd with --enable-v2=false.",
    advice_nl="De opslag van versie 2 heeft eigen aanmeldingen: gebruikt niets haar, start etcd dan met"
    " --enable-v2=false.",
)
def etcd_refuses(answer: EtcdStores) -> Verdict:
    """Etcd refuses questions of who has not logged in.

    Etcd holds everything of a cluster, the secrets too: who reads it has the cluster.
    """
    return holds(answer.refused, answer.said, "user name is empty")


@check(
    "refused-containers.etcd-clear-text",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Etcd praat alleen over TLS",
    why_nl="Zonder TLS leest wie meeluistert op het netwerk de geheimen van het cluster mee.",
    fix="printf 'ETCD_LISTEN_CLIENT_URLS=https://0.0.0.0:2379\\nETCD_CERT_FILE=/etc/etcd/server.pem\\n"
    "ETCD_KEY_FILE=/etc/etcd/server.key\\n' >> /etc/default/etcd\nsystemctl restart etcd",
    verify="curl http://HOST:2379/version",
    references=("etcd documentation, Transport security model", "BIO2 1.3, 8.21.04"),
)
def etcd_clear_text_refused(answer: EtcdAnswer) -> Verdict:
    """Etcd speaks over TLS only.

    Without TLS whoever listens in on the network reads the secrets of the cluster.
    """
    return over_tls_only(answer)


@check(
    "refused-containers.kubelet-without-login",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="De kubelet weigert vragen van wie niet is ingelogd",
    why_nl="Een kubelet zonder aanmelding voert opdrachten uit in elke container op zijn machine.",
    fix="sed -i '/anonymous:/{n;s/enabled: true/enabled: false/}' /var/lib/kubelet/config.yaml\n"
    "sed -i 's/mode: AlwaysAllow/mode: Webhook/' /var/lib/kubelet/config.yaml\nsystemctl restart kubelet",
    verify="curl -k https://HOST:10250/pods",
    references=("Kubernetes documentation, Kubelet authentication/authorization",),
)
def kubelet_refuses(answer: KubeletAnswer) -> Verdict:
    """The kubelet refuses questions of who has not logged in.

    A kubelet without a login carries out orders in every container on its machine.
    """
    return holds(answer.refused, answer.said, "HTTP 401 or 403")


@check(
    "refused-containers.kubernetes-without-login",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.APPLICATION,
    title_nl="De API van Kubernetes weigert vragen van wie niet is ingelogd",
    why_nl="Wie zonder aanmelding iets mag in het cluster, begint daar met rondkijken naar meer.",
    fix="kubectl delete clusterrolebinding ANONYMOUS_BINDING",
    verify="curl -k https://HOST:6443/api/v1/namespaces",
    references=("Kubernetes documentation, Authenticating: anonymous requests",),
    advice="Look with 'kubectl get clusterrolebindings -o wide' which binding names system:anonymous or"
    " system:unauthenticated, and put its name in place of ANONYMOUS_BINDING.",
    advice_nl="Zoek met 'kubectl get clusterrolebindings -o wide' welke binding system:anonymous of"
    " system:unauthenticated noemt, en zet die naam in plaats van ANONYMOUS_BINDING.",
)
def kubernetes_refuses(answer: KubernetesAnswer) -> Verdict:
    """The Kubernetes API refuses questions of who has not logged in.

    Who may do something in the cluster without a login starts there to look around for more.
    """
    return holds(answer.refused, answer.said, "HTTP 401 or 403")


@check(
    "refused-containers.registry-without-login",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    title_nl="Het containerregister weigert wie niet is ingelogd",
    why_nl="Wie images mag ophalen, vindt er wachtwoorden in; wie ze mag plaatsen, draait zijn code op uw machines.",
    fix="htpasswd -Bbn NAME PASSWORD > /etc/docker/registry/htpasswd\n"
    "printf 'auth:\\n  htpasswd:\\n    realm: registry\\n    path: /etc/docker/registry/htpasswd\\n'"
    " >> /etc/docker/registry/config.yml\nsystemctl restart docker-registry",
    verify="curl -i http://HOST:5000/v2/",
    references=("CNCF Distribution documentation, Configuring a registry: auth",),
)
def registry_refuses(answer: RegistryAnswer) -> Verdict:
    """The container registry refuses who has not logged in.

    Who may fetch images finds passwords in them; who may put them there runs his code on your machines.
    """
    return holds(answer.refused, answer.said, "HTTP 401")


# --- examples -------------------------------------------------------------------------------------------------

_COME_BACK: Final = http("400 Bad Request", body="Client sent an HTTP request to an HTTPS server.\n")
_LOCKED: Final = {"clear": _COME_BACK, "secured": talk(end="reset", note="TLS: SSLV3_ALERT_BAD_CERTIFICATE")}
_JSON: Final = "Content-Type: application/json"
_ENGINE: Final = ("Api-Version: 1.41", "Server: Docker/20.10.24+dfsg1 (linux)", _JSON)


def _clear(service: str, status: str, *fields: str, body: str = "") -> dict[str, object]:
    return at(service, clear=http(status, *fields, body=body), secured=NO_TLS)


def _secured(service: str, status: str, *fields: str, body: str = "") -> dict[str, object]:
    return at(service, clear=_COME_BACK, secured=http(status, *fields, body=body))


examples(
    docker_refuses,
    passes=[
        at("docker", **_LOCKED),
        _clear("docker", "403 Forbidden", *_ENGINE, body='{"message":"denied"}'),
    ],
    fails=[
        _clear("docker", "200 OK", *_ENGINE, body="[]\n"),
        _secured("docker", "200 OK", *_ENGINE, body='[{"Id":"8dfafdbc3a40"}]\n'),
        at(
            "docker",
            clear=http("200 OK", *_ENGINE, body='[{"Labels":{"note":"requires TLS"}}]\n'),
            secured=_LOCKED["secured"],
        ),
    ],
    unknown=[
        _clear("docker", "200 OK", body="[]"),
        _clear("docker", "500 Internal Server Error", *_ENGINE),
        at("docker", clear=_COME_BACK, secured=talk(end="reset", note="TLS: SSLV3_ALERT_HANDSHAKE_FAILURE")),
    ],
    error=at("docker", clear=SILENCE, secured=NO_TLS),
    notapplicable=[at("http"), at("docker", clear=talk(b"SSH-2.0-x\r\n"), secured=NO_TLS)],
)
_EMPTY: Final = "etcdserver: user name is empty"
_NO_STORE: Final = http(
    "404 Not Found", "Content-Type: text/plain; charset=utf-8", body="404 page not found\n"
)
_OLD_LOGIN: Final = (
    '{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials",'
    '"index":0}'
)
_OLD_KEY: Final = '{"errorCode":100,"message":"Key not found","cause":"/keurmeester-test","index":4}'
_NAMELESS: Final = f'{{"error":"{_EMPTY}","message":"{_EMPTY}","code":3}}'
_LOGIN: Final = http("400 Bad Request", _JSON, body=_NAMELESS)


def _etcd(answer: str, old: str = _NO_STORE) -> dict[str, object]:
    return at("etcd", clear=answer, secured=NO_TLS, old=old, secured_old=NO_TLS)


examples(
    etcd_refuses,
    passes=[
        _etcd(_LOGIN),
        _etcd(_LOGIN, http("401 Unauthorized", _JSON, body=_OLD_LOGIN)),
        at("etcd", **_LOCKED, old=_LOCKED["clear"], secured_old=_LOCKED["secured"]),
    ],
    fails=[
        _etcd(http("200 OK", _JSON, body='{"header":{"cluster_id":"14841639068965178418","revision":"1"}}')),
        _etcd(_LOGIN, http("404 Not Found", _JSON, body=_OLD_KEY)),
        _etcd(_NO_STORE, http("404 Not Found", _JSON, body=_OLD_KEY)),
        _etcd(_LOGIN, http("200 OK", _JSON, body='{"action":"get","node":{"key":"/keurmeester-test","value":"x"}}')),
    ],
    unknown=[
        _etcd(_NO_STORE),
        _etcd(_NO_STORE, http("401 Unauthorized", _JSON, body=_OLD_LOGIN)),
        _etcd(http("400 Bad Request", _JSON, body='{"error":"invalid character","code":3}')),
        _etcd(_LOGIN, http("503 Service Unavailable")),
        _etcd(_LOGIN, http("404 Not Found", body="<html>")),
    ],
)  # fmt: skip
_ANONYMOUS: Final = "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=proxy)"
examples(
    kubelet_refuses,
    passes=[
        _secured(
            "kubelet", "401 Unauthorized", "Content-Type: text/plain; charset=utf-8", body="Unauthorized"
        ),
        _secured("kubelet", "403 Forbidden", body=_ANONYMOUS),
        at("kubelet", **_LOCKED),
    ],
    fails=[
        _secured(
            "kubelet", "200 OK", _JSON, body='{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}'
        ),
        _clear("kubelet-open", "200 OK", _JSON, body='{"kind":"PodList","apiVersion":"v1","items":[]}'),
    ],
    unknown=[
        _secured("kubelet", "401 Unauthorized", body="<html>"),
        _secured("kubelet", "200 OK", body="ok"),
    ],
)
examples(
    kubernetes_refuses,
    passes=[
        _secured(
            "kubernetes", "403 Forbidden", _JSON,
            body='{"kind":"Status","apiVersion":"v1","status":"Failure","message":"namespaces is forbidden: User'
            ' \\"system:anonymous\\" cannot list resource","reason":"Forbidden","code":403}',
        ),
        _secured("kubernetes", "401 Unauthorized", _JSON, body='{"kind":"Status","status":"Failure","code":401}'),
    ],
    fails=_secured("kubernetes", "200 OK", _JSON, body='{"kind":"NamespaceList","apiVersion":"v1","items":[]}'),
    unknown=[_secured("kubernetes", "403 Forbidden", body="<html>"), _secured("kubernetes", "200 OK", body="[]")],
)  # fmt: skip
_REGISTRY: Final = "Docker-Distribution-Api-Version: registry/2.0"
examples(
    registry_refuses,
    passes=_clear(
        "registry", "401 Unauthorized", _REGISTRY, 'Www-Authenticate: Basic realm="registry"',
        body='{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}',
    ),
    fails=_clear("registry", "200 OK", _REGISTRY, body="{}"),
    unknown=[_clear("registry", "200 OK", body="{}"), _clear("registry", "503 Service Unavailable", _REGISTRY)],
)  # fmt: skip

examples(
    etcd_clear_text_refused,
    passes=[at("etcd", **_LOCKED), _secured("etcd", "400 Bad Request", _JSON, body=_NAMELESS)],
    fails=_clear("etcd", "400 Bad Request", _JSON, body=_NAMELESS),
)
