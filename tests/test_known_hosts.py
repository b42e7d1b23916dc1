"""known_hosts is read as ssh reads it: every form of line, and nothing is known that should not be."""

import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from scanner.channels.known_hosts import HostKey, Known, KnownHosts, Trust, pinned


def key(seed: int, kind: str = "ssh-ed25519") -> HostKey:
    name = kind.encode()
    return HostKey(kind, len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + bytes([seed]) * 32)


def text(of: HostKey) -> str:
    return f"{of.type} {b64encode(of.blob).decode()}"


A, B, C = key(1), key(2), key(3)


def reader(*lines: str) -> KnownHosts:
    known = KnownHosts()
    for line in lines:
        known.add(line)
    return known


def test_plain_name_comma_list_and_address():
    known = reader(f"web1.example.nl,10.0.0.1,2001:db8::1 {text(A)} a comment", f"db1 {text(B)}")
    for name in ("web1.example.nl", "WEB1.Example.NL", "10.0.0.1", "2001:db8::1"):
        assert known.lookup(name).keys == (A,)
    assert known.lookup("db1").judge(B.blob) is Trust.KNOWN
    assert known.lookup("web2.example.nl") == Known()


def test_several_keys_of_one_host_add_up():
    rsa = key(9, "ssh-rsa")
    known = reader(f"web1 {text(A)}", f"web1,web2 {text(rsa)}")
    assert known.lookup("web1").keys == (A, rsa)
    assert known.lookup("web2").keys == (rsa,)


def test_unknown_changed_and_revoked_are_told_apart():
    known = reader(f"web1 {text(A)}", f"@revoked web1 {text(C)}", f"@revoked * {text(B)}")
    assert known.lookup("web1").judge(A.blob) is Trust.KNOWN
    assert known.lookup("web1").judge(key(7).blob) is Trust.CHANGED
    assert known.lookup("web1").judge(C.blob) is Trust.REVOKED
    assert known.lookup("anything").judge(B.blob) is Trust.REVOKED
    assert known.lookup("anything").judge(A.blob) is Trust.UNKNOWN


def test_revoked_wins_from_known():
    assert reader(f"web1 {text(A)}", f"@revoked web1 {text(A)}").lookup("web1").judge(A.blob) is Trust.REVOKED


def test_other_port_stands_between_brackets():
    known = reader(f"[web1]:2222 {text(A)}", f"web1 {text(B)}")
    assert known.lookup("web1", 2222).keys == (A,)
    assert known.lookup("web1", 22).keys == (B,)
    assert known.lookup("web1", 2200).keys == (B,), "ssh falls back on the bare name"
    assert reader(f"[web1]:22 {text(A)}").lookup("web1", 22) == Known()


def test_wildcards_and_negation():
    known = reader(f"*.example.nl,!bad.example.nl,db? {text(A)}", f"[*]:2222 {text(B)}")
    assert known.lookup("web1.example.nl").keys == (A,)
    assert known.lookup("bad.example.nl").keys == ()
    assert known.lookup("example.nl").keys == ()
    assert known.lookup("db1").keys == (A,)
    assert known.lookup("db12").keys == ()
    assert known.lookup("any", 2222).keys == (B,)
    assert known.lookup("[a]:22222", 22).keys == ()


def test_only_negation_matches_nothing():
    assert reader(f"!bad {text(A)}").lookup("good") == Known()


def test_dot_in_a_pattern_is_a_dot():
    assert reader(f"10.0.0.* {text(A)}").lookup("10x0.0.1") == Known()


def test_certificate_authority_is_not_a_host_key():
    known = reader(f"@cert-authority *.example.nl {text(A)}").lookup("web1.example.nl")
    assert known.authority
    assert known.judge(A.blob) is Trust.UNKNOWN


def test_hashed_by_ssh_keygen_is_found(tmp_path):
    path = tmp_path / "known_hosts"
    names = ["web1.example.nl", "[web1.example.nl]:2222", "10.0.0.1"]
    keys = [real_key(tmp_path, n) for n in range(3)]
    path.write_text("".join(f"{name} {text(of)}\n" for name, of in zip(names, keys, strict=True)))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "example" not in path.read_text()
    known = KnownHosts.load([path])
    assert (known.lines, known.broken) == (3, 0)
    assert known.lookup("Web1.Example.NL").keys == (keys[0],)
    assert known.lookup("web1.example.nl", 2222).keys == (keys[1],)
    assert known.lookup("10.0.0.1").keys == (keys[2],)
    assert known.lookup("10.0.0.2") == Known()


def real_key(folder: Path, number: int) -> HostKey:
    path = folder / f"key{number}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return pinned([path.with_suffix(".pub").read_text()]).keys[0]


def test_fingerprint_is_that_of_ssh_keygen(tmp_path):
    mine = real_key(tmp_path, 0)
    listing = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key0.pub"], check=True, capture_output=True, text=True
    )
    assert listing.stdout.split()[1] == mine.fingerprint


def test_comments_and_white_space_are_no_lines():
    known = reader("", "   ", "# web1 ssh-ed25519", f" \t web1\t {text(A)}  # note\r")
    assert (known.lines, known.broken) == (1, 0)
    assert known.lookup("web1").keys == (A,)


@pytest.mark.parametrize(
    "line",
    [
        "web1",
        "web1 ssh-ed25519",
        "web1 ssh-ed25519 !!!!",
        f"web1 ssh-rsa {text(A).split()[1]}",
        "web1 ssh-ed25519 AAAA",
        f"web1 ssh-ed25519 {text(A).split()[1][:12]}",
        f"web1 {text(A)[:-3]}",
        f"@trusted web1 {text(A)}",
        "@revoked",
        f"|1|notbase64!|x= {text(A)}",
        f"|2|c2FsdA==|aGFzaA== {text(A)}",
        f"|1|c2FsdA== {text(A)}",
        "web1 1024 37 1234567890",
        "web1 ssh-ed25519 \udcff",
    ],
)
def test_broken_line_is_skipped_and_counted(line):
    known = reader(line, f"web2 {text(B)}")
    assert (known.lines, known.broken) == (2, 1)
    assert known.lookup("web1") == Known()
    assert known.lookup("web2").keys == (B,)


def test_bytes_that_are_no_text_are_survived(tmp_path):
    (tmp_path / "known_hosts").write_bytes(b"\xff\xfe\x00 rubbish\n\x00\n" + f"web1 {text(A)}".encode())
    known = KnownHosts.load([tmp_path / "known_hosts"])
    assert known.broken == 2
    assert known.lookup("web1").keys == (A,)


def test_files_add_up_and_a_missing_one_says_nothing(tmp_path):
    (tmp_path / "one").write_text(f"web1 {text(A)}\n")
    (tmp_path / "two").write_text(f"@revoked web1 {text(A)}\n")
    known = KnownHosts.load(
        [tmp_path / "one", tmp_path / "none", tmp_path / "one" / "below", tmp_path / "two"]
    )
    assert known.lookup("web1").judge(A.blob) is Trust.REVOKED
    assert known.unread == []


def test_file_that_cannot_be_read_is_named(tmp_path):
    assert KnownHosts.load([tmp_path]).unread == [f"{tmp_path}: Is a directory"]


def test_the_users_own_file_is_read_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"web1.keurmeester.test {text(A)}\n")
    assert KnownHosts.load().lookup("web1.keurmeester.test").keys == (A,)


def test_pinned_key_with_and_without_comment():
    assert pinned([text(A), f"{text(B)} root@web1"]).keys == (A, B)
    with pytest.raises(ValueError, match="its type and the key"):
        pinned(["ssh-ed25519"])
    with pytest.raises(ValueError, match="not a key of type ssh-rsa"):
        pinned([f"ssh-rsa {text(A).split()[1]}"])
