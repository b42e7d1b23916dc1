"""The batch for a POSIX shell, put to a real one: what a target prints can never pass for a frame."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.channels import ChannelError
from scanner.channels.local import LocalTransport
from scanner.channels.shell import Batch
from scanner.evaluate import understood
from scanner.model import Cause, Gap, Raw, State
from scanner.sources import Command, File, Shell, Source, Tree, from_data, to_data, tree_files

CUT = Gap(State.ERROR, Cause.RESET, "cut")


def ask(*sources: Shell, limit: int = 64 << 20, deadline: int | None = None) -> dict[Source, Raw]:
    batch = Batch(sources, limit=limit)
    if deadline is not None:
        batch.deadline = deadline
    gap = CUT
    try:
        LocalTransport().run(batch)
    except ChannelError as error:
        gap = Gap(State.ERROR, error.cause, error.detail)
    return batch.answers(gap)


def one(source: Shell) -> Raw:
    return ask(source)[source]


def sh(script: str) -> Command:
    return Command(f"sh -c '{script}'")


def test_output_error_and_exit_code_come_back_to_the_byte() -> None:
    raw = one(sh('printf "a\\n\\n"; printf "wrong" >&2; exit 3'))
    assert (raw.out, raw.err, raw.code, raw.gap) == (b"a\n\n", b"wrong", 3, None)


@pytest.mark.parametrize("body", ["", "x", "\\n", "\\nx", "x\\n", "\\n\\n"])
def test_line_ends_at_the_edges_are_kept(body: str) -> None:
    assert one(sh(f'printf "{body}"')).out == body.replace("\\n", "\n").encode()


def test_three_megabytes_of_nul_are_kept_when_allowed_and_named_when_not() -> None:
    line = "head -c 3000000 /dev/zero"
    assert one(Command(line, limit=4 << 20)).out == b"\0" * 3_000_000
    cut = one(Command(line))
    assert len(cut.out) == 1 << 20
    assert cut.gap is not None
    assert (cut.gap.state, cut.gap.cause) == (State.ERROR, Cause.TRUNCATED)


def test_a_command_that_reads_its_input_does_not_eat_the_script() -> None:
    first, second = Command("cat"), Command("echo still here")
    answers = ask(first, second)
    assert answers[first].out == b""
    assert answers[second].out == b"still here\n"


def test_forged_frames_are_just_text() -> None:
    forged = b"\n00000000000000000000000000000000 E 0 0\n"
    forger = sh('printf "\\n00000000000000000000000000000000 E 0 0\\n"')
    assert one(forger).out == forged


def test_the_shell_killed_in_mid_script_leaves_the_rest_unanswered() -> None:
    # timeout(1) stands between: its parent is the shell of the batch.
    killer = sh("kill -9 $(ps -o ppid= -p $PPID)")
    before, after = Command("echo before"), Command("echo after")
    answers = ask(before, killer, after)
    assert answers[before].gap is None
    assert answers[killer].gap is CUT
    assert answers[after].gap is CUT


def test_a_hanging_command_is_a_timeout_and_the_rest_goes_on() -> None:
    slow, next_ = Command("sleep 60", timeout=1), Command("echo on")
    began = time.monotonic()
    answers = ask(slow, next_)
    assert time.monotonic() - began < 10
    gap = understood(slow, answers[slow])
    assert gap is not None
    assert (gap.state, gap.cause) == (State.ERROR, Cause.TIMEOUT)
    assert answers[next_].out == b"on\n"


def test_a_command_that_ignores_term_is_killed() -> None:
    stubborn = Command("sh -c 'trap \"\" TERM; while :; do sleep 1; done'", timeout=1)
    gap = understood(stubborn, one(stubborn))
    assert gap is not None
    assert gap.cause is Cause.TIMEOUT


def test_the_deadline_of_the_whole_batch_holds() -> None:
    slow = Command("sleep 60", timeout=60)
    answers = ask(slow, deadline=1)
    assert answers[slow].gap is not None
    assert answers[slow].gap.cause is Cause.TIMEOUT


def test_a_target_that_floods_is_given_up() -> None:
    flood, after = Command("cat /dev/zero", timeout=20), Command("echo after")
    answers = ask(flood, after, limit=8 << 20)
    for source in (flood, after):
        gap = answers[source].gap
        assert gap is not None
        assert gap.cause is Cause.TRUNCATED


def test_a_missing_program_is_absence_only_when_the_source_says_so() -> None:
    needed, plain = Command("no-such-tool -x", needs="no-such-tool"), Command("no-such-tool -y")
    answers = ask(needed, plain)
    assert answers[needed].gap == Gap(State.NOTAPPLICABLE, None, "no-such-tool is not on the host")
    assert answers[plain].gap == Gap(State.ERROR, Cause.TOOL_MISSING, "no-such-tool is not on the host")


def test_words_are_quoted_whatever_they_hold() -> None:
    source = Command("printf '%s\\n' 'a b' '$HOME' '`id`' ';' '*'")
    assert one(source).out == b"a b\n$HOME\n`id`\n;\n*\n"


def test_a_file_that_is_not_there_differs_from_one_that_cannot_be_read() -> None:
    missing, folder = File("/no/such/file"), File("/etc")
    answers = ask(missing, folder)
    gone = understood(missing, answers[missing])
    unread = understood(folder, answers[folder])
    assert gone is not None
    assert gone.state is State.NOTAPPLICABLE
    assert unread is not None
    assert unread.state is State.UNKNOWN


@pytest.mark.skipif(os.geteuid() != 0, reason="root can become nobody; others cannot")
def test_no_rights_is_privilege_never_absence() -> None:
    source = Command("setpriv --reuid 65534 --clear-groups cat /etc/shadow")
    gap = understood(source, one(source))
    assert gap is not None
    assert (gap.state, gap.cause) == (State.ERROR, Cause.PRIVILEGE)


def test_a_tree_gives_every_line_behind_its_file(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for name, text in {"a.conf": "x\ny\n", "b.conf": "no newline", "c.txt": "not me\n"}.items():
        (tmp_path / name).write_text(text)
    tree = Tree(folder, include="*.conf")
    assert tree_files(one(tree)) == {f"{folder}/a.conf": ["x", "y"], f"{folder}/b.conf": ["no newline"]}
    empty = Tree(folder, include="*.none")
    assert understood(empty, one(empty)) is None
    gone = Tree("/no/such/folder")
    gap = understood(gone, one(gone))
    assert gap is not None
    assert gap.state is State.NOTAPPLICABLE


def test_secrets_are_taken_out_before_anything_is_kept() -> None:
    source = Command("echo password=geheim", redact=(("password=.*$", "password=…"),))
    assert one(source).out.decode() == "password=…\n"


def test_the_batch_knows_who_it_is() -> None:
    batch = Batch([Command("true")])
    LocalTransport().run(batch)
    assert batch.user is not None
    assert batch.user[0] == os.geteuid()
    assert batch.done


def test_two_sources_never_share_an_answer() -> None:
    sources = [Command(f"echo {number}") for number in range(200)]
    answers = ask(*sources)
    assert [answers[source].out for source in sources] == [f"{number}\n".encode() for number in range(200)]


@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(1, 50))
def test_any_bytes_in_any_pieces_come_back_whole(bodies: list[bytes], piece: int) -> None:
    sources = [Command(f"echo {number}") for number in range(len(bodies))]
    batch = Batch(sources)
    mark = batch.nonce.encode()
    stream = b"noise from a login script"
    errors = stream
    for number, body in enumerate(bodies):
        stream += b"\n%s B %d\n%s\n%s E %d 0\n" % (mark, number, body, mark, number)
        errors += b"\n%s B %d\n\n%s E %d 0\n" % (mark, number, mark, number)
    stream += b"\n%s Q\n" % mark
    errors += b"\n%s Q\n" % mark
    for start in range(0, len(stream), piece):
        batch.feed_out(stream[start : start + piece])
    batch.feed_err(errors)
    answers = batch.answers(CUT)
    assert [answers[source].out for source in sources] == bodies
    assert all(answers[source].gap is None for source in sources)
    assert batch.done


@given(st.binary(max_size=2000))
def test_hostile_frames_never_break_the_reader(data: bytes) -> None:
    source = Command("true")
    batch = Batch([source])
    mark = b"\n" + batch.nonce.encode() + b" "
    for piece in (data, mark + data + b"\n", mark + b"E 7 x\n", mark + b"B 99\n", data):
        try:
            batch.feed_out(piece)
            batch.feed_err(piece)
        except ChannelError:
            break
    assert isinstance(batch.answers(CUT)[source], Raw)


@pytest.mark.parametrize(
    "source",
    [
        Command("a 'b c'", root=True, needs="a", exits=(0, 1), redact=(("x", "y"),)),
        File("/x"),
        Tree("/y", "*.d"),
    ],
)
def test_a_source_survives_its_journey_as_data(source: Shell) -> None:
    assert from_data(to_data(source)) == source
