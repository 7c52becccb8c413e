"""Hosts that are namespaces of this machine: a network, a name, /dev/shm and System V memory of their own.

MPI's daemons and the ranks talk over TCP through a pair of veth devices, as between two computers.  Processes and files
are shared.  Needs root, or a kernel that lets a user be root in a namespace, and `ip` of iproute2.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from launcher_support import SKIPPED

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
DEVICE = "ferry0"
NAMESPACES = ("--net", "--uts", "--mount", "--ipc")
# Says that it is ready, and lives until its input ends: with the test, however that ends.
HOST = 'mount --make-rprivate / && mount -t tmpfs none /dev/shm && hostname "$1" && ip link set lo up && echo ready && cat'
# As ssh is called: HOST COMMAND...
AGENT = """#!/bin/sh
host=$1; shift
exec nsenter -t "$(cat {folder}/$host)" --net --uts --mount --ipc -- sh -c "$*"
"""


class Refused(Exception):
    """The kernel does."""


class Hosts:
    """Two of them.  `with Hosts() as hosts: hosts.mpirun(...)`"""

    def __init__(self):
        self.names = [f"{name}-{os.getpid()}" for name in ("alpha", "beta")]
        self.processes = []

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ferry-hosts-"))
        try:
            for name in self.names:
                self.start(name)
            self.connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.communicate()  # closes its input
        shutil.rmtree(self.folder)

    def start(self, name):
        process = subprocess.Popen(["unshare", *NAMESPACES, "sh", "-c", HOST, "sh", name], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PATH": PATH})
        self.processes.append(process)
        if process.stdout.readline() != "ready\n":
            raise Refused(process.stderr.read().strip())
        (self.folder / name).write_text(str(process.pid))

    def connect(self):
        first, second = (str(process.pid) for process in self.processes)
        self.call("ip", "link", "add", DEVICE, "netns", first, "type", "veth", "peer", "name", DEVICE, "netns", second)
        lines = ["127.0.0.1 localhost\n"]
        for number, name in enumerate(self.names, 1):
            self.call(*self.inside(name), "ip", "address", "add", f"10.77.0.{number}/24", "dev", DEVICE)
            self.call(*self.inside(name), "ip", "link", "set", DEVICE, "up")
            lines.append(f"10.77.0.{number} {name}\n")
        (self.folder / "hosts").write_text("".join(lines))
        for name in self.names:
            self.call(*self.inside(name), "mount", "--bind", self.folder / "hosts", "/etc/hosts")
        agent = self.folder / "agent"
        agent.write_text(AGENT.format(folder=self.folder))
        agent.chmod(0o755)

    def call(self, *words):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              env={**os.environ, "PATH": PATH})
        if done.returncode != 0:
            raise Refused(done.stderr.strip())

    def inside(self, name):
        pid = (self.folder / name).read_text()
        return ["nsenter", "-t", pid, *NAMESPACES, f"--wd={os.getcwd()}", "--"]

    def mpirun(self, slots, *words, env=None, timeout=100):
        """Runs it on so many ranks of each host, from the first; text of both streams, exit code."""
        hosts = ",".join(f"{name}:{count}" for name, count in zip(self.names, slots))
        command = [*self.inside(self.names[0]), "mpirun", "--mca", "plm_rsh_agent", self.folder / "agent",
                   "--mca", "btl_tcp_if_include", DEVICE, "--mca", "oob_tcp_if_include", DEVICE,
                   "--host", hosts, "-n", sum(slots), *words]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})})

    def bytes_between(self):
        """That have gone over the network so far, in both directions."""
        table = subprocess.run([*self.inside(self.names[0]), "cat", "/proc/net/dev"], capture_output=True, text=True)
        line = next(line for line in table.stdout.splitlines() if line.strip().startswith(DEVICE + ":"))
        fields = line.split(":")[1].split()
        return int(fields[0]) + int(fields[8])


def require_hosts():
    """Ends a test that needs them where there can be none: skipped."""
    try:
        with Hosts():
            return
    except (FileNotFoundError, Refused) as why:
        print(f"no hosts of namespaces here: {why}", flush=True)
        sys.exit(SKIPPED)
