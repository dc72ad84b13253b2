"""A memory control group for a test to run a program in."""
import os
import re


class ControlGroup:
    """A memory cgroup below this process's own, where one may be made. Of version 1: of version 2, a group that has
    processes in it cannot have groups below."""

    def __init__(self):
        with open("/proc/self/cgroup", encoding="ascii") as file:
            own = re.search(r"^\d+:memory:(/.*)$", file.read(), re.MULTILINE)
        if own is None:
            raise OSError("no memory control group of version 1")
        self.path = f"/sys/fs/cgroup/memory{own.group(1)}/mote-test-{os.getpid()}"
        os.mkdir(self.path)

    def limit(self, most):
        self.write("memory.limit_in_bytes", most)

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def write(self, name, value):
        with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
            file.write(str(int(value)))

    def close(self):
        os.rmdir(self.path)
