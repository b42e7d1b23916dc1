"""Secrets are found by reference, kept out of sight, and costly things are made once."""

import logging
import os
import traceback
from pathlib import Path
from threading import Barrier, Thread

import pytest

from scanner.vault import LONGEST, Vault, VaultError

SECRET = b"correct horse battery staple"


def private(path: Path, content: bytes = SECRET, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


def test_environment_variable_is_read_where_it_is_used(monkeypatch):
    vault = Vault()
    monkeypatch.setenv("KM_TEST", "first")
    assert vault.secret("env:KM_TEST").get_secret_value() == b"first"
    monkeypatch.setenv("KM_TEST", "second")
    assert vault.secret("env:KM_TEST").get_secret_value() == b"second"


def test_environment_variable_may_hold_any_bytes(monkeypatch):
    monkeypatch.setitem(os.environb, b"KM_TEST", b"\xff\xfe")
    assert Vault().secret("env:KM_TEST").get_secret_value() == b"\xff\xfe"


def test_unset_variable_is_named():
    with pytest.raises(VaultError, match="env:KM_NOT_THERE: this environment variable is not set"):
        Vault().secret("env:KM_NOT_THERE")


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"s\n", b"s"), (b"s\n\n", b"s\n"), (b"s", b"s"), (b" s ", b" s "), (b"s\r\n", b"s\r")],
)
def test_one_trailing_newline_is_not_part_of_the_secret(tmp_path, content, secret):
    assert Vault().secret(private(tmp_path / "s", content)).get_secret_value() == secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_file_that_others_may_use_is_refused(tmp_path, mode):
    with pytest.raises(VaultError, match=rf"mode {mode:04o}\); run chmod 600"):
        Vault().secret(private(tmp_path / "s", mode=mode))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_file_of_its_owner_alone_is_accepted(tmp_path, mode):
    assert Vault().secret(private(tmp_path / "s", mode=mode)).get_secret_value() == SECRET


def test_link_is_judged_by_the_file_it_leads_to(tmp_path):
    private(tmp_path / "real", mode=0o644)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(VaultError, match="mode 0644"):
        Vault().secret(f"file:{tmp_path}/link")


def test_home_of_the_user_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    private(tmp_path / "s")
    assert Vault().secret("file:~/s").get_secret_value() == SECRET


def test_missing_file_folder_and_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(VaultError, match="No such file"):
        Vault().secret(f"file:{tmp_path}/none")
    with pytest.raises(VaultError, match="Is a directory"):
        Vault().secret(f"file:{tmp_path}")
    with pytest.raises(VaultError, match="null byte"):
        Vault().secret("file:/a\0b")
    with pytest.raises(VaultError, match="home directory"):
        Vault().secret("file:~nobody-of-that-name/s")
    with pytest.raises(VaultError, match="not a regular file"):
        Vault().secret(f"file:{tmp_path}/pipe")


def test_empty_and_endless_secrets_are_refused(tmp_path):
    with pytest.raises(VaultError, match="is empty"):
        Vault().secret(private(tmp_path / "empty", b"\n"))
    with pytest.raises(VaultError, match="not a secret"):
        Vault().secret(private(tmp_path / "long", b"x" * (LONGEST + 1)))


def test_reference_of_unknown_scheme_is_not_repeated():
    for reference in ("hunter2", "pass:hunter2"):
        with pytest.raises(VaultError) as caught:
            Vault().secret(reference)
        assert "hunter2" not in str(caught.value)
        assert "env, file" in str(caught.value)


def test_secret_shows_in_no_repr_log_or_traceback(tmp_path, caplog):
    secret = Vault().secret(private(tmp_path / "s"))
    logging.getLogger("test").warning("%s %r", secret, secret)
    try:
        raise RuntimeError(secret)
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert SECRET.decode() not in f"{secret} {secret!r} {caplog.text} {shown}"


def test_another_vault_plugs_in():
    vault = Vault({"safe": lambda name: f"from {name}".encode()})
    assert vault.secret("safe:deposit box").get_secret_value() == b"from deposit box"


def test_costly_things_are_made_once_whatever_the_number_of_threads():
    vault, made, got = Vault(), [], []
    barrier = Barrier(8)

    def use() -> None:
        barrier.wait()
        got.append(vault.once("key", lambda: made.append(1) or object()))

    threads = [Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(got) == 8
    assert len({id(thing) for thing in got}) == 1


def test_failure_is_remembered_too_and_raised_as_a_fresh_exception():
    vault, tries = Vault(), []

    def make() -> object:
        tries.append(1)
        raise VaultError("does not load")

    errors = []
    for _ in range(3):
        with pytest.raises(VaultError, match="does not load") as caught:
            vault.once("key", make)
        errors.append(caught.value)
    assert len(tries) == 1
    assert len({id(error) for error in errors}) == 3


def test_different_keys_are_different_things():
    vault = Vault()
    assert vault.once("a", object) is not vault.once("b", object)
