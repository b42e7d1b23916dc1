"""YAML from people: plain data, the line of everything, and one clear error for whatever is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

from scanner.model import InputError, SecretRef
from scanner.yamlfile import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Located, load_yaml


def located(folder: Path, text: str | bytes) -> Located:
    path = folder / "input.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_yaml(path)


def refused(folder: Path, text: str | bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        located(folder, text)
    assert caught.value.file == str(folder / "input.yaml")
    assert caught.value.remedy
    return caught.value


# --- reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ("22", 22),
        ("-7", -7),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ('"22"', "22"),
        ("'true'", "true"),
        ("no", "no"),
        ("on", "on"),
        ("0644", "0644"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-31", "2026-01-31"),
        ("9" * 64, "9" * 64),
        (".inf", ".inf"),
    ],
)
def test_a_scalar_means_what_it_means_to_an_editor(tmp_path: Path, text: str, value: object) -> None:
    data = located(tmp_path, f"a: {text}\n").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_keys_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    assert located(tmp_path, "80: a\ntrue: b\nnull: c\n1.0: d\n").data == {
        "80": "a",
        "true": "b",
        "null": "c",
        "1.0": "d",
    }


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    text = "\ufeffa: é\r\n".encode()
    file = located(tmp_path, text)
    assert file.data == {"a": "é"}
    assert file.digest == hashlib.sha256(text).hexdigest()


def test_everything_has_its_line(tmp_path: Path) -> None:
    file = located(
        tmp_path,
        "# top\n"  # 1
        "a:\n"  # 2
        "  b: 1\n"  # 3
        "  c:\n"  # 4
        "    - x\n"  # 5
        "    - y: 1\n"  # 6
        "      z: 2\n"  # 7
        "d: {e: 1,\n"  # 8
        "    f: [1,\n"  # 9
        "        2]}\n",  # 10
    )
    lines = {
        (): 2,
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "z"): 7,
        ("d", "e"): 8,
        ("d", "f"): 9,
        ("d", "f", 1): 10,
    }
    assert {place: file.line(place) for place in lines} == lines


def test_a_place_that_is_not_there_has_the_line_of_what_should_hold_it(tmp_path: Path) -> None:
    file = located(tmp_path, "a:\n  b:\n    c: 1\n")
    assert file.line(("a", "b", "missing")) == 2
    assert file.line(("a", "tag of a union", "b", "c")) == 3
    assert file.line(("nowhere", 7)) == 1


@pytest.mark.parametrize(
    ("text", "line", "fragment", "remedy"),
    [
        ("", 1, "the file is empty", "write something"),
        ("# only a comment\n", 1, "the file is empty", "write something"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' stands here twice, first on line 1", "keep one"),
        ("a:\n  80: x\n  '80': y\n", 3, "'80' stands here twice, first on line 2", "keep one"),
        ("a: {b: 1, b: 2}\n", 1, "'b' stands here twice, first on line 1", "keep one"),
        ("a: &x 1\nb: *x\n", 1, "anchors (&), aliases (*) and tags (!)", "write the value out"),
        ("a: 1\nb: *x\n", 2, "anchors (&), aliases (*) and tags (!)", "write the value out"),
        ("a:\n  b: !!python/object/apply:os.system [id]\n", 2, "tags (!)", "write the value out"),
        ("a: !!str 1\n", 1, "tags (!)", "write the value out"),
        ("a: 1\n---\nb: 2\n", 2, "a second document", "a file of its own"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key is one text", "name: value"),
        ("a: 1\nb: x: y\n", 2, "mapping values are not allowed", "check the indentation"),
        ("a:\n\tb: 1\n", 2, "is not YAML", "indent with spaces"),
        ("a:\n  b: 'x\n\nc: 1\n", 5, "a quoted scalar that begins on line 2", "check the indentation"),
        ("a: [1, 2\nb: 3\n", 2, "that begins on line 1", "check the indentation"),
        ("a: 1\nb: @x\n", 2, "cannot start any token", "quote a text"),
        ("a: 1\nb: \x1b[31m\n", 2, "control character U+001B", "remove it"),
        ("a: 1\nb: \x00\n", 2, "control character U+0000", "remove it"),
        (b"a: 1\nb: \xe9t\xe9\n", 2, "is not UTF-8", "save the file as UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "is not UTF-8", "save the file as UTF-8"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(
    tmp_path: Path, text: str | bytes, line: int, fragment: str, remedy: str
) -> None:
    error = refused(tmp_path, text)
    assert error.line == line
    assert fragment in error.message
    assert remedy in error.remedy
    assert str(error).startswith(f"{tmp_path}/input.yaml:{line}: ")


def test_a_secret_that_lacks_its_quotes_is_not_repeated(tmp_path: Path) -> None:
    for text in (
        "password: *hunter2\n",
        "password: &hunter2\n",
        "password: !hunter2\n",
        "password: @hunter2\n",
    ):
        assert "hunter2" not in str(refused(tmp_path, text))


def test_too_large_too_deep_and_too_many_are_refused(tmp_path: Path) -> None:
    assert "larger than 8 MiB" in refused(tmp_path, b"#" * (MAX_BYTES + 1)).message
    assert located(tmp_path, "[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert "deeper than 32 levels" in refused(tmp_path, "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).message
    assert "deeper than 32 levels" in refused(tmp_path, "[" * 1_000_000).message
    assert "more than 500000 values" in refused(tmp_path, "[" + "a," * (MAX_VALUES + 1) + "]").message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, Path("\0")):
        with pytest.raises(InputError, match="cannot be read") as caught:
            load_yaml(path)
        assert caught.value.file == str(path)
        assert caught.value.remedy == "check its path and rights"


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text("ab:-?[]{},&*!|>'\"%@` \n\t#01~.").map(str.encode)
    )
)
def test_any_bytes_give_a_value_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    error = None
    try:
        assert located(tmp_path_factory.getbasetemp(), raw).line() >= 1
    except InputError as raised:
        error = raised
    if error is not None:
        assert error.line >= 1
        assert error.remedy
        assert str(error).replace("\n", "").isprintable()


# --- validating -----------------------------------------------------------------------------------------------


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd\nadd one")
    return value


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    port: int = 22
    protocol: Literal["tcp", "udp"] = "tcp"
    even: Annotated[int, AfterValidator(_even)] = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    password: SecretRef | None = None
    api_key: int | None = None
    hosts: dict[str, Inner | None] = {}
    inners: list[Inner] = []
    words: tuple[str, ...] = ()


def test_valid_data_becomes_the_model(tmp_path: Path) -> None:
    file = located(tmp_path, "name: x\nhosts: {a: {port: 80}, b: }\n")
    assert file.validate(Outer) == Outer(name="x", hosts={"a": Inner(port=80), "b": None})
    assert file.validate(Inner, ("hosts", "a")).port == 80
    assert file.validate(TypeAdapter(dict[str, Inner | None]), ("hosts",))["b"] is None
    assert file.validate(Inner, ("hosts",), {"port": 1}).port == 1


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("hosts: {}\n", 1, "name: is missing", "write 'name: ...' here"),
        ("name: x\nhots: {}\n", 2, "hots: unknown field", "did you mean 'hosts'?"),
        (
            "name: x\nzzz: 1\n",
            2,
            "zzz: unknown field",
            "known here: api_key, hosts, inners, name, password, words",
        ),
        ("name: x\nhosts:\n  a:\n    prot: 1\n", 4, "hosts.a.prot: unknown field", "did you mean 'port'?"),
        ("name: x\ninners:\n  - even: 2\n  - porrt: 1\n", 4, "inners[1].porrt: unknown field", "'port'?"),
        ("name: x\nhosts:\n  a:\n    port: abc\n", 4, "hosts.a.port: 'abc' is not accepted", "valid integer"),
        (
            "name: x\nhosts:\n  a: {protocol: tpc}\n",
            3,
            "'tpc' is not accepted",
            "it should be 'tcp' or 'udp'",
        ),
        ("name: x\nhosts:\n  a: {even: 3}\n", 3, "hosts.a.even: 3 is odd", "add one"),
        ("name: 1.3\n", 1, "name: 1.3 is not accepted", "between quotes"),
        ("name:\n", 1, "name: an empty value is not accepted", "write a text"),
        ("name: [x]\n", 1, "name: a list is not accepted", "write a text"),
        ("name: x\nhosts: text\n", 2, "hosts: 'text' is not accepted", "write 'name: value' lines"),
        ("name: x\nhosts:\n  a: [1]\n", 3, "hosts.a: a list is not accepted", "write 'name: value' lines"),
        ("name: x\nwords: text\n", 2, "words: 'text' is not accepted", "write a list: [one, two]"),
        ("- name\n", 1, "a list is not accepted", "write 'name: value' lines"),
        (
            "name: x\nhosts:\n  b: {port: x}\n  a: {even: 1}\nzzz: 1\n",
            3,
            "hosts.b.port: 'x' is not accepted",
            "valid integer",
        ),
    ],
)
def test_the_first_mistake_is_explained_where_it_stands(
    tmp_path: Path, text: str, line: int, message: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        located(tmp_path, text).validate(Outer)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "input.yaml"), line)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "valid dictionary" not in str(caught.value)


@pytest.mark.parametrize(
    "field", ["password: hunter2", "password: 424242", "password: [hunter2]", "api_key: hunter2"]
)
def test_what_may_be_a_secret_is_not_repeated(tmp_path: Path, field: str) -> None:
    with pytest.raises(InputError) as caught:
        located(tmp_path, f"name: x\n{field}\n").validate(Outer)
    assert caught.value.line == 2
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)
    assert "424242" not in str(caught.value)


def test_text_from_the_file_cannot_steer_a_terminal(tmp_path: Path) -> None:
    file = located(tmp_path, 'name: x\n"\\e[31m\\u202E": 1\n')
    with pytest.raises(InputError) as caught:
        file.validate(Outer)
    assert str(caught.value).replace("\n", "").isprintable()
