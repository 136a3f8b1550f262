"""Runs one command and never lets it outlive the process that started this one.

The starter holds the other end of our standard input. When that end closes, for whatever reason (it was
dropped, the test panicked, the process was killed), the command's process group is killed.

The first line of output is the directory where the command's log is. Then each line of input is an order,
answered by one line: alive, pause, resume, kill.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile


class Command:
    def __init__(self, argv, scratch):
        log = open(os.path.join(scratch, "log"), "wb")
        self.child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env={**os.environ, "TMPDIR": scratch, "HOME": scratch},
            start_new_session=True,
        )

    def signal(self, number):
        """Signals the whole group: the command may have started workers of its own."""
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def alive(self):
        if self.child.returncode is None and self.child.poll() is not None:
            self.signal(signal.SIGKILL)  # workers that it left behind
        return "yes" if self.child.returncode is None else "no"

    def pause(self):
        if self.alive() == "yes":
            self.signal(signal.SIGSTOP)
            os.waitpid(self.child.pid, os.WUNTRACED)
        return "done"

    def resume(self):
        if self.alive() == "yes":
            self.signal(signal.SIGCONT)
        return "done"

    def kill(self):
        if self.alive() == "yes":
            self.signal(signal.SIGKILL)
            self.child.wait()
        return "done"


def main():
    os.setsid()  # a Ctrl-C, or a signal to the test's process group, must not take the guard down
    scratch = tempfile.mkdtemp(prefix="emulator-")
    command = None
    try:
        command = Command(sys.argv[1:], scratch)
        print(scratch, flush=True)
        orders = {"alive": command.alive, "pause": command.pause, "resume": command.resume, "kill": command.kill}
        for line in iter(sys.stdin.readline, ""):
            print(orders[line.strip()](), flush=True)
    finally:
        if command:
            command.kill()
        shutil.rmtree(scratch, ignore_errors=True)


main()
