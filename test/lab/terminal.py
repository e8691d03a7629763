#!/usr/bin/python3
# `weir run -i`: the console on the appliance's own terminal. Prompt, completion, history, quit, and
# a terminal that is afterwards what it was before. The devices are `null`: no lab is needed.
# Proves: B2.
# limit: quick 40 full 40
import fcntl
import os
import pty
import select
import struct
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

UP, TAB, CTRL_C = b"\x1b[A", b"\t", b"\x03"
PROMPT = b"weir> "


def prepare(lab):
    lab.terminals = 0


def command(lab, runtime):
    return [f"{BUILD}/weir", "run", "-i", "-c", f"{ROOT}/conf/single.cfg",
            "--set", f"runtime={runtime}", "--set", f"log.to={lab.folder}/log",
            "--set", "ports.outside.device=null", "--set", "ports.inside.device=null"]


class Terminal:
    """A weir on a pseudo terminal, as a user has it: the terminal is its controlling one."""

    def __init__(self, lab):
        lab.terminals += 1
        self.runtime = f"{lab.folder}/run{lab.terminals}"
        self.us, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.text = b""

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            command(lab, self.runtime), stdin=self.theirs, stdout=self.theirs,
            stderr=self.theirs, preexec_fn=take_terminal,
            env=dict(os.environ, TERM="vt100", HOME=lab.folder))
        lab.processes.append(self.process)

    def type(self, keys):
        self.text = b""
        os.write(self.us, keys)

    def wait_for(self, word, seconds=10):
        """Reads until the terminal showed `word` since the last keys, and forgets up to there."""
        end = time.monotonic() + seconds
        while word not in self.text and time.monotonic() < end:
            if select.select([self.us], [], [], 0.1)[0]:
                self.text += os.read(self.us, 4096)
        expect(word in self.text, f"no {word!r} in {self.text!r}")
        self.text = self.text.split(word, 1)[1]

    def finish(self):
        """Exit status; the terminal must be as it was, and nothing of the run left."""
        reader = Background(self.drain)
        status = self.process.wait(10)
        after = termios.tcgetattr(self.theirs)
        os.close(self.theirs)
        reader.result(5)
        os.close(self.us)
        expect_equal(after, self.before, "the terminal's settings")
        expect(not os.path.exists(f"{self.runtime}/console.sock"), "the socket is still there")
        return status

    def drain(self):
        with contextlib.suppress(OSError):  # the other end was closed
            while os.read(self.us, 4096):
                pass


@check(families=False)
def session(lab):
    terminal = Terminal(lab)
    terminal.wait_for(PROMPT)
    terminal.type(b"show po" + TAB)
    terminal.wait_for(b"show po")
    terminal.wait_for(b"rt ")  # behind what moves the cursor
    terminal.type(b"stats all\r")
    terminal.wait_for(b"null")
    terminal.wait_for(PROMPT)
    terminal.type(b"show dr" + TAB + b"\r")
    terminal.wait_for(b"unexplained")
    terminal.wait_for(PROMPT)
    terminal.type(UP + UP + b"\r")
    terminal.wait_for(b"port stats all")
    terminal.wait_for(b"rx_packets")
    terminal.wait_for(PROMPT)
    until(lambda: termios.tcgetattr(terminal.theirs) != terminal.before, 5,
          "the line editor changed nothing: the test tests nothing")
    terminal.type(b"quit\r")
    expect_equal(terminal.finish(), 0, "exit status")


@check(families=False)
def line_given_up(lab):
    """Ctrl-C clears the line and ends nothing; the history is that of the last session."""
    terminal = Terminal(lab)
    terminal.wait_for(PROMPT)
    terminal.type(b"stop" + CTRL_C)
    terminal.wait_for(PROMPT)
    terminal.type(b"show status\r")
    terminal.wait_for(b"forwarding")
    terminal.wait_for(PROMPT)
    terminal.type(b"bogus\r")
    terminal.wait_for(b"bogus")
    terminal.wait_for(PROMPT)
    terminal.type(b"quit\r")
    expect_equal(terminal.finish(), 0, "exit status")
    terminal = Terminal(lab)
    terminal.wait_for(PROMPT)
    terminal.type(UP)
    terminal.wait_for(b"quit")
    terminal.type(UP)
    terminal.wait_for(b"bogus")
    terminal.type(CTRL_C)
    terminal.wait_for(PROMPT)
    terminal.type(b"quit\r")
    expect_equal(terminal.finish(), 0, "exit status")


@check(families=False)
def ended_from_outside(lab):
    """A SIGTERM while somebody types."""
    terminal = Terminal(lab)
    terminal.wait_for(PROMPT)
    terminal.type(b"show sta")
    terminal.wait_for(b"show sta")
    terminal.process.terminate()
    expect_equal(terminal.finish(), 0, "exit status")


@check(families=False)
def without_a_terminal(lab):
    """Commands come from standard input; its end is that of the appliance, which says so. The first
    may be there before the workers have the rules: the appliance starts, or forwards."""
    result = subprocess.run(command(lab, f"{lab.folder}/piped"), input="show status\n",
                            capture_output=True, text=True, timeout=20)
    expect_equal(result.returncode, 0, f"exit status ({result.stderr})")
    expect("config_generation  1\n" in result.stdout, result.stdout)
    expect("standard input ended" in result.stderr, result.stderr)


main(prepare, conservation=False)
