"""The inventory: what it means, and one clear error with file, line and remedy for each way to break it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inventories import yaml as format_
from inventories.yaml import read, schema
from scanner import Credential, Inventory, Service
from scanner.expression import TARGET_FIELDS, compile_filter
from scanner.model import InputError, Target

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "inventories/example/gemeente.yaml"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOJ0FvZuRkfd8xXnFym14Y1wNqradigZ72nNrXUDUCM8"


def inventory(folder: Path, text: str, name: str = "hosts.yaml") -> Inventory:
    path = folder / name
    path.write_text(text)
    return read(path)


def target(folder: Path, text: str, name: str = "a") -> Target:
    return inventory(folder, text).target(name)


# --- what it means --------------------------------------------------------------------------------------------


def test_the_smallest_inventory(tmp_path: Path) -> None:
    one = target(tmp_path, "targets:\n  www.gemeente.example:\n", "www.gemeente.example")
    assert one == Target(name="www.gemeente.example", address="www.gemeente.example")
    assert one.services is None


def test_a_target_has_what_was_written(tmp_path: Path) -> None:
    found = inventory(
        tmp_path,
        f"""
credentials:
  scan: {{user: scan, key: env:SCAN_KEY}}
zones: {{dmz: {{concurrency: 3}}, beheer: }}
vantage: beheer
resolvers: ["2001:DB8:0::53"]
targets:
  hop: {{address: "2001:DB8:0::1"}}
  a:
    address: web1.gemeente.example
    addresses: [192.0.2.7, "2001:DB8::7"]
    port: 2222
    role: web
    zone: dmz
    tenant: zandmeer
    owner: Team Web
    criticality: high
    tags: [internet]
    credential: scan
    host_keys: ["{HOST_KEY} root@web1"]
    jump: hop
    cluster: web
    consent: knock
    domains: [Gemeente.Example.]
    ports: [22, 8443]
    dkim_selectors: [Mail1]
    description: de website
    services:
      - {{port: 443, name: https, purpose: website, tls: true, server_name: www.example, from: [any, beheer],
         protected: [/mijn]}}
      - {{port: 443, protocol: udp}}
""",
    )
    assert (found.vantage, found.resolvers) == ("beheer", ("2001:db8::53",))
    assert found.target("hop").address == "2001:db8::1"
    a = found.target("a")
    assert a.model_dump(exclude={"services"}) == {
        "name": "a",
        "address": "web1.gemeente.example",
        "addresses": ("192.0.2.7", "2001:db8::7"),
        "ports": (22, 8443),
        "port": 2222,
        "channel": "ssh",
        "platform": "linux",
        "role": "web",
        "zone": "dmz",
        "tenant": "zandmeer",
        "owner": "Team Web",
        "criticality": "high",
        "tags": ("internet",),
        "credential": "scan",
        "host_keys": (HOST_KEY,),
        "jump": "hop",
        "cluster": "web",
        "consent": "knock",
        "domains": ("gemeente.example",),
        "dkim_selectors": ("mail1",),
        "description": "de website",
    }
    assert a.services is not None
    assert [service.key for service in a.services] == ["443/tcp", "443/udp"]
    assert a.services[0].from_ == ("any", "beheer")
    assert found.zones == {"dmz": 3}
    assert found.credentials["scan"].key == "env:SCAN_KEY"
    assert Inventory.model_validate_json(found.model_dump_json(by_alias=True)) == found


INHERITANCE = """
defaults: {{role: default, owner: default, zone: default, tenant: default, tags: [d]}}
groups:
  root: {{role: root, owner: root, zone: root, tags: [r]}}
  one: {{parent: root, role: one, owner: one, tags: [x]}}
  two: {{role: two, tags: [y, x]}}
targets:
  a: {{groups: {groups}, {fields}}}
"""


@pytest.mark.parametrize(
    ("groups", "fields", "role", "owner", "zone", "tenant"),
    [
        ("[]", "", "default", "default", "default", "default"),
        ("[root]", "", "root", "root", "root", "default"),
        ("[one]", "", "one", "one", "root", "default"),
        ("[one, two]", "", "two", "one", "root", "default"),
        ("[two, one]", "", "one", "one", "root", "default"),
        # A group of the target's own wins from the parent of another, however they are listed.
        ("[two, root]", "", "root", "root", "root", "default"),
        ("[root, one]", "", "one", "one", "root", "default"),
        ("[one, root]", "", "root", "root", "root", "default"),
        ("[one, two]", "role: own, tenant: own", "own", "one", "root", "own"),
        ("[one]", "role: ''", "", "one", "root", "default"),
    ],
)
def test_the_nearest_wins(
    tmp_path: Path, groups: str, fields: str, role: str, owner: str, zone: str, tenant: str
) -> None:
    a = target(tmp_path, INHERITANCE.format(groups=groups, fields=fields))
    assert (a.role, a.owner, a.zone, a.tenant) == (role, owner, zone, tenant)


def test_own_groups_win_from_parents(tmp_path: Path) -> None:
    a = target(
        tmp_path,
        "groups:\n  base: {role: base}\n  web: {role: web}\n  dmz: {parent: base}\n"
        "targets:\n  a: {groups: [web, dmz]}\n",
    )
    assert a.role == "web"


def test_tags_add_up(tmp_path: Path) -> None:
    a = target(tmp_path, INHERITANCE.format(groups="[one, two]", fields="tags: [own, d]"))
    assert a.tags == ("d", "r", "x", "y", "own")


def test_null_undoes_what_is_inherited(tmp_path: Path) -> None:
    found = inventory(
        tmp_path,
        "defaults: {jump: hop, services: []}\ntargets:\n  hop: {jump: null}\n  a: {services: null}\n",
    )
    assert found.target("hop").jump is None
    assert found.target("a").jump == "hop"
    assert found.target("hop").services == ()
    assert found.target("a").services is None


def test_services_are_not_mixed(tmp_path: Path) -> None:
    a = target(
        tmp_path,
        "groups: {web: {services: [{port: 80}, {port: 443}]}}\n"
        "targets: {a: {groups: [web], services: [{port: 22}]}}\n",
    )
    assert a.services is not None
    assert [service.port for service in a.services] == [22]


def test_relative_paths_start_at_the_folder_of_the_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inventory/ca").mkdir(parents=True)
    (tmp_path / "inventory/ca/own.pem").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/scan")
    found = inventory(
        Path("inventory"),
        "trust_anchors: [ca/own.pem]\n"
        "credentials:\n"
        "  a: {user: a, key: 'file:keys/a', passphrase: env:P, certificate: keys/a-cert.pub}\n"
        "  b: {user: b, key: 'file:~/.ssh/b', password: 'file:/etc/secret'}\n"
        "targets:\n"
        "  a: {services: [{port: 1812, protocol: udp, name: radius, secret: 'file:keys/wifi', realm: a.example}]}\n",
    )
    folder = f"{tmp_path}/inventory"
    (wifi,) = found.targets[0].services or ()
    assert (wifi.secret, wifi.realm) == (f"file:{folder}/keys/wifi", "a.example")
    assert found.trust_anchors == (f"{folder}/ca/own.pem",)
    a, b = found.credentials["a"], found.credentials["b"]
    assert (a.key, a.passphrase) == (f"file:{folder}/keys/a", "env:P")
    assert a.certificate == f"{folder}/keys/a-cert.pub"
    assert (b.key, b.password) == ("file:/home/scan/.ssh/b", "file:/etc/secret")


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    text = "targets: {a: }\n"
    assert inventory(tmp_path, text).digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("curve", ["ed25519", "ecdsa", "rsa"])
def test_a_host_key_is_what_ssh_keygen_writes(tmp_path: Path, curve: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", curve, "-N", "", "-f", tmp_path / "key"], check=True)
    written = (tmp_path / "key.pub").read_text()
    assert target(tmp_path, f"targets: {{a: {{host_keys: [{json.dumps(written)}]}}}}").host_keys == (
        " ".join(written.split()[:2]),
    )


# --- every way to break it ------------------------------------------------------------------------------------

BROKEN = [
    ("", 1, "the file is empty", "write something"),
    ("defaults: {}\n", 1, "targets: is missing", "write 'targets: ...' here"),
    ("zones: {}\ntargets: {}\n", 2, "targets: there are no targets", "write 'name: {address: ...}'"),
    ("targets:\n  a:\n    adress: b\n", 3, "targets.a.adress: unknown field", "did you mean 'address'?"),
    ("target:\n  a:\n", 1, "target: unknown field", "did you mean 'targets'?"),
    ("targets:\n  a:\n  b:\n  a:\n", 4, "'a' stands here twice, first on line 2", "keep one"),
    ("targets:\n  a:\n  'web 1':\n", 3, "'web 1' is not a name", "use letters, digits"),
    ("targets:\n  a:\n  -x: {address: b}\n", 3, "'-x' is not a name", "begin with a letter or digit"),
    ("targets:\n  a:\n  db_1:\n", 3, "targets.db_1: has no address", "write 'address: ...'"),
    ("targets:\n  a:\n    address: http://b/\n", 3, "'http://b/' is neither a host name", "the bare name"),
    ("targets:\n  a:\n    address: root@b\n", 3, "'root@b' is neither", "the user in the credential"),
    ("targets:\n  a: {address: 'b:22'}\n", 2, "'b:22' is neither", "the port goes in 'port'"),
    ("targets:\n  a: {address: 192.0.2.300}\n", 2, "'192.0.2.300' is neither", "the bare name or address"),
    ("targets:\n  a: {address: 192.0.2.0/24}\n", 2, "'192.0.2.0/24' is neither", "the bare name or address"),
    ("targets:\n  a: {address: '[2001:db8::1]'}\n", 2, "is neither", "the bare name or address"),
    ("targets:\n  a: {address: -oProxyCommand=x}\n", 2, "is neither", "the bare name or address"),
    ("targets:\n  a: {address: 'fe80::1%$(id)'}\n", 2, "is neither", "the bare name or address"),
    ("targets:\n  a: {address: ''}\n", 2, "'' is neither", "the bare name or address"),
    (
        "targets:\n  a:\n    port: 70000\n",
        3,
        "targets.a.port: 70000 is not accepted",
        "less than or equal to 65535",
    ),
    (
        "targets:\n  a:\n    platform: linus\n",
        3,
        "'linus' is not accepted",
        "'linux', 'windows', 'network' or 'other'",
    ),
    ("targets:\n  a:\n    criticality: huge\n", 3, "'huge' is not accepted", "'low', 'medium' or 'high'"),
    (
        "targets:\n  a:\n    tags: web\n",
        3,
        "targets.a.tags: 'web' is not accepted",
        "write a list: [one, two]",
    ),
    ("groups: {web: }\ntargets: {a: }\n", 1, "groups.web: an empty value", "write 'name: value' lines"),
    (
        "groups:\n  web: {}\ntargets:\n  a:\n    groups:\n      - web\n      - wbe\n",
        7,
        "targets.a.groups[1]: unknown group 'wbe'",
        "did you mean 'web'?",
    ),
    ("targets:\n  a: {groups: [web]}\n", 2, "unknown group 'web'", "none is known here"),
    (
        "groups:\n  web:\n    parent: dnz\n  dmz: {}\ntargets: {a: }\n",
        3,
        "groups.web.parent: unknown group 'dnz'",
        "did you mean 'dmz'?",
    ),
    (
        "groups:\n  x: {parent: b}\n  a:\n    parent: b\n  b:\n    parent: a\ntargets: {a: }\n",
        6,
        "groups.b.parent: goes round: b -> a -> b",
        "remove one of these parents",
    ),
    (
        "credentials:\n  scan: {user: x, agent: true}\ndefaults:\n  credential: scna\ntargets: {a: }\n",
        4,
        "defaults.credential: unknown credential 'scna'",
        "did you mean 'scan'?",
    ),
    ("credentials:\n  scan:\n    user: x\ntargets: {a: }\n", 2, "there is no way to log in", "'agent: true'"),
    (
        "credentials:\n  scan: {user: x, agent: true, certificate: c}\ntargets: {a: }\n",
        2,
        "'certificate' stands alone",
        "add the 'key'",
    ),
    (
        "credentials:\n  scan:\n    user: x\n    password: hunter2\ntargets: {a: }\n",
        4,
        "credentials.scan.password: this is no reference to a secret",
        "write 'env:NAME' or 'file:/path'",
    ),
    (
        "credentials:\n  scan:\n    user: x\n    passwrd: hunter2\ntargets: {a: }\n",
        4,
        "credentials.scan.passwrd: unknown field",
        "did you mean 'password'?",
    ),
    (
        "credentials: hunter2\ntargets: {a: }\n",
        1,
        "credentials: the value is not",
        "write 'name: value' lines",
    ),
    (
        "targets:\n  a:\n    host_keys:\n      - SHA256:abcdef\n",
        4,
        "not an SSH host key",
        "ssh_host_ed25519_key.pub",
    ),
    (
        f"targets:\n  a:\n    host_keys: [web1 {HOST_KEY}]\n",
        3,
        "not an SSH host key",
        "write 'ssh-ed25519 AAAA",
    ),
    (
        f"targets:\n  a:\n    host_keys: [{HOST_KEY.replace('ed25519', 'rsa')}]\n",
        3,
        "not an SSH host key",
        "AAAA",
    ),
    (f"targets:\n  a:\n    host_keys: ['{HOST_KEY[:-5]}']\n", 3, "not an SSH host key", "AAAA"),
    (f"targets:\n  a:\n    host_keys: ['{HOST_KEY[:-4]}']\n", 3, "not an SSH host key", "AAAA"),
    ("targets:\n  a: {host_keys: ['ssh-rsa AAAA']}\n", 2, "not an SSH host key", "AAAA"),
    (
        "targets:\n  a: {host_keys: ['-----BEGIN PRIVATE KEY----- hunter2']}\n",
        2,
        "not an SSH host key",
        "AAAA",
    ),
    ("targets:\n  a:\n    jump: bb\n  b:\n", 3, "targets.a.jump: unknown target 'bb'", "did you mean 'b'?"),
    ("targets:\n  a:\n    jump: a\n", 3, "targets.a.jump: goes round: a -> a", "write 'jump: null'"),
    (
        "targets:\n  a:\n    jump: b\n  b:\n    jump: c\n  c:\n    jump: b\n",
        5,
        "targets.b.jump: goes round: b -> c -> b",
        "write 'jump: null'",
    ),
    (
        "defaults:\n  jump: hop\ntargets:\n  hop:\n  a:\n",
        4,
        "targets.hop.jump: goes round: hop -> hop",
        "write 'jump: null' at a target that is reached directly, such as 'hop'",
    ),
    (
        "zones: {dmz: }\ntargets:\n  a: {zone: dnz}\n",
        3,
        "targets.a.zone: unknown zone 'dnz'",
        "did you mean 'dmz'?",
    ),
    (
        "zones: {dmz: {concurrency: 0}}\ntargets: {a: }\n",
        1,
        "zones.dmz.concurrency: 0 is not",
        "greater than or equal",
    ),
    (
        "targets:\n  a:\n    services:\n      - port: 80\n        from: [192.0.2.1/24]\n",
        5,
        "targets.a.services[0].from[0]: is not a network: 192.0.2.1/24 has host bits set",
        "write a network such as 192.0.2.0/24",
    ),
    (
        "targets:\n  a:\n    services:\n      - port: 80\n        from:\n          - any\n          - 192.0.2.300\n",
        7,
        "services[0].from[1]: is not a network",
        "or any",
    ),
    (
        "targets:\n  a:\n    zone: dmz\n    services:\n      - {port: 80, from: [dnz]}\n",
        5,
        "services[0].from[0]: unknown zone 'dnz'",
        "did you mean 'dmz'?",
    ),
    (
        "targets:\n  a:\n    services:\n      - {port: 80, from: any}\n",
        4,
        "from: 'any' is not",
        "write a list",
    ),
    (
        "targets:\n  a:\n    services:\n      - port: 443\n      - port: 80\n      - port: 443\n        tls: true\n",
        6,
        "targets.a.services[2]: 443/tcp stands here twice, first on line 4",
        "make it one service",
    ),
    (
        "targets:\n  a: {services: [{port: 1812, name: radius, secret: 'file:wifi'}]}\n",
        2,
        "services[0]: 'secret' and 'realm' are of a RADIUS server",
        "write 'name: radius, protocol: udp'",
    ),
    (
        "targets:\n  a: {services: [{port: 1812, protocol: udp, name: radius, secret: hunter2}]}\n",
        2,
        "secret: this is no reference to a secret",
        "write 'env:NAME' or 'file:/path'",
    ),
    (
        "targets:\n  a: {services: [{port: 1812, protocol: udp, name: radius, realm: a@b.example}]}\n",
        2,
        "realm: 'a@b.example' is not a realm",
        "write what is behind the '@'",
    ),
    (
        "targets:\n  a: {services: [{port: 80}, {port: 80}]}\n",
        2,
        "80/tcp stands here twice",
        "make it one service",
    ),
    (
        "targets:\n  a:\n    address: 192.0.2.1\n  b:\n    address: 192.0.2.1\n",
        5,
        "targets.b.address: is the same host as 'a': 192.0.2.1 port 22",
        "correct the address or port",
    ),
    (
        "targets: {a: }\ntrust_anchors:\n  - no.pem\n",
        3,
        "trust_anchors[0]: there is no file",
        "check the path",
    ),
    ("targets:\n  a: &x\n    role: web\n  b: *x\n", 2, "anchors (&), aliases (*)", "write the value out"),
    ("targets:\n\ta: {}\n", 2, "is not YAML", "indent with spaces"),
]


@pytest.mark.parametrize(("text", "line", "message", "remedy"), BROKEN)
def test_a_broken_inventory_says_where_and_what_to_do(
    tmp_path: Path, text: str, line: int, message: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        inventory(tmp_path, text)
    error = caught.value
    assert (error.file, error.line) == (str(tmp_path / "hosts.yaml"), line)
    assert message in error.message
    assert remedy in error.remedy
    assert str(error) == f"{tmp_path}/hosts.yaml:{line}: {error.message}\n  {error.remedy}"
    assert "hunter2" not in str(error)


def test_a_missing_inventory_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hosts\.yaml: cannot be read: No such file"):
        read(tmp_path / "hosts.yaml")


_WORDS = st.sampled_from(
    [
        "targets",
        "groups",
        "defaults",
        "credentials",
        "zones",
        "trust_anchors",
        "a",
        "b",
        "web",
        "parent",
        "services",
        "port",
        "from",
        "jump",
        "zone",
        "tags",
        "user",
        "password",
        "key",
        "agent",
        "address",
        "host_keys",
        "any",
        "dmz",
        "192.0.2.0/24",
        "env:X",
        "file:x",
    ]
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), _WORDS),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(_WORDS, st.text()), inner)),
)
_FIELDS = st.dictionaries(_WORDS, st.one_of(_WORDS, st.integers(0, 3), st.lists(_WORDS, max_size=3), _VALUES))
_FILES = st.dictionaries(_WORDS, st.dictionaries(_WORDS, _FIELDS), max_size=6)


@given(
    st.one_of(_VALUES, _FILES, _FILES.map(lambda file: {**file, "targets": {"a": None, "b": {"jump": "a"}}}))
)
def test_any_data_gives_an_inventory_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    error = None
    try:
        assert inventory(tmp_path_factory.getbasetemp(), yaml.safe_dump(data, allow_unicode=True)).targets
    except InputError as raised:
        error = raised
    if error is not None:
        assert error.line >= 1
        assert error.remedy
        assert str(error).replace("\n", "").isprintable()


# --- several inventories --------------------------------------------------------------------------------------


def test_several_inventories_become_one(tmp_path: Path) -> None:
    shared = "credentials: {scan: {user: scan, agent: true}}\nzones: {dmz: {concurrency: 2}}\n"
    one = inventory(tmp_path, f"{shared}targets: {{a: }}\n", "one.yaml")
    two = inventory(tmp_path, f"{shared}targets: {{b: }}\n", "two.yaml")
    both = Inventory.merged([one, two])
    assert [target.name for target in both.targets] == ["a", "b"]
    assert both.sources == (str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"))
    assert both.credentials == one.credentials
    assert both.zones == {"dmz": 2}
    assert both.digest == hashlib.sha256(f"{one.digest}\n{two.digest}\n".encode()).hexdigest()
    assert Inventory.merged([two, one]).digest != both.digest
    assert Inventory.merged([one]) is one


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("targets: {a: }", "targets: {b: , a: }", "target 'a' is also in"),
        (
            "credentials: {scan: {user: x, agent: true}}\ntargets: {a: }",
            "credentials: {scan: {user: y, agent: true}}\ntargets: {b: }",
            "credential 'scan' is also in",
        ),
        (
            "zones: {dmz: {concurrency: 1}}\ntargets: {a: }",
            "zones: {dmz: {concurrency: 2}}\ntargets: {b: }",
            "zone 'dmz' is also in",
        ),
    ],
)
def test_a_name_cannot_mean_two_things(tmp_path: Path, first: str, second: str, message: str) -> None:
    files = [inventory(tmp_path, first, "one.yaml"), inventory(tmp_path, second, "two.yaml")]
    with pytest.raises(InputError) as caught:
        Inventory.merged(files)
    assert caught.value.file == str(tmp_path / "two.yaml")
    assert caught.value.message == f"{message} {tmp_path / 'one.yaml'}"
    assert caught.value.remedy


# --- what is shipped ------------------------------------------------------------------------------------------


def test_the_example_is_a_small_municipality() -> None:
    found = read(EXAMPLE)
    assert len(found.targets) == 12
    assert {one.tenant for one in found.targets} == {"zandmeer", "duinwijk", "ssc"}
    assert {one.zone for one in found.targets} == {"dmz", "server", "beheer"}
    assert {one.role for one in found.targets} >= {"web", "db", "dns", "mail", "jump", "logging", "backup"}
    assert [one.name for one in found.targets if one.cluster == "zaaksysteem"] == ["db1", "db2"]
    assert found.target("jump1").jump is None
    assert all(one.jump == "jump1" for one in found.targets if one.name != "jump1")
    assert found.target("sociaal1").services is None
    assert found.zones == {"dmz": 4, "server": 8}


def test_the_example_names_its_schema_and_no_real_address() -> None:
    text = EXAMPLE.read_text()
    assert text.startswith("# yaml-language-server: $schema=../inventory.schema.json\n")
    for one in read(EXAMPLE).targets:
        assert one.address.startswith(("192.0.2.", "2001:db8:")) or one.address.endswith(".example")


def test_filters_choose_from_the_example() -> None:
    chosen = compile_filter(
        'zone == "dmz" and tenant in ("duinwijk", "ssc") and not role == "dns"', TARGET_FIELDS, "--targets"
    )
    assert [one.name for one in read(EXAMPLE).targets if chosen(one)] == ["www.duinwijk.example", "mail1"]


def test_the_committed_schema_is_the_one_of_the_format() -> None:
    committed = json.loads((ROOT / "inventories/inventory.schema.json").read_text())
    assert committed == schema(), "write schema() to inventories/inventory.schema.json again"


@pytest.mark.parametrize("ports", ["everything", "22", "[0]", "[22, 70000]", "[]", "[true]"])
def test_a_wrong_choice_of_ports_says_what_there_is_to_choose(tmp_path: Path, ports: str) -> None:
    with pytest.raises(InputError) as caught:
        inventory(tmp_path, f"targets:\n  a: {{address: 192.0.2.1, ports: {ports}}}\n")
    assert "ports: this is no choice of ports" in str(caught.value)
    assert caught.value.remedy == "write usual, all, or a list of numbers from 1 to 65535"


def test_the_format_offers_each_field_of_a_target() -> None:
    fields = format_.Fields.model_fields
    assert {"name", *fields} == set(Target.model_fields)
    for name in fields.keys() - {"address", "addresses", "host_keys", "domains", "dkim_selectors"}:
        assert fields[name].annotation == Target.model_fields[name].annotation, name
        if name != "zone":
            assert fields[name].get_default() == Target.model_fields[name].get_default(), name


def test_each_field_of_the_format_is_explained_to_editors() -> None:
    parts = schema()
    for part in (parts, *(parts["$defs"][name] for name in ("Fields", "Group", "Host", "Zone"))):
        for name, field in part["properties"].items():
            assert field.get("description"), name


def test_the_page_explains_each_field_and_its_example_works(tmp_path: Path) -> None:
    page = (ROOT / "docs/inventory.md").read_text()
    example = inventory(tmp_path, page.split("```yaml\n")[1].split("```")[0])
    assert [(one.name, one.jump) for one in example.targets] == [
        ("jump1", None),
        ("web1", "jump1"),
        ("web2", "jump1"),
    ]
    models = (format_.Fields, format_.Group, format_.InventoryFile, Service, Credential)
    names = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


# --- hosts of CAs ---------------------------------------------------------------------------------------------


def revocation_hosts(tmp_path: Path, *hosts: str) -> tuple[str, ...]:
    file = tmp_path / "hosts.yaml"
    listed = ", ".join(f"'{host}'" for host in hosts)
    file.write_text(f"revocation_hosts: [{listed}]\ntargets: {{web1: {{address: 192.0.2.1}}}}\n")
    return read(file).revocation_hosts


def test_hosts_of_cas_are_names_domains_and_ports(tmp_path: Path) -> None:
    written = ("CRL.Example.nl", "*.example.nl", "127.0.0.1:2560")
    assert revocation_hosts(tmp_path, *written) == ("crl.example.nl", "*.example.nl", "127.0.0.1:2560")
    assert revocation_hosts(tmp_path) == ()


@pytest.mark.parametrize(
    "host",
    [
        "http://crl.example.nl",
        "crl.example.nl/x",
        "*",
        "*.",
        "a:b",
        "crl.example.nl:0",
        "crl.example.nl:99999",
        "",
    ],
)
def test_what_is_no_host_of_a_ca_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        revocation_hosts(tmp_path, host)


def test_an_ipv4_address_written_as_ipv6_is_ipv4(tmp_path: Path) -> None:
    text = "targets:\n  a: {address: '::ffff:192.0.2.7', addresses: ['::ffff:192.0.2.8', '2001:db8::1']}\n"
    a = inventory(tmp_path, text).target("a")
    assert (a.address, a.addresses) == ("192.0.2.7", ("192.0.2.8", "2001:db8::1"))
