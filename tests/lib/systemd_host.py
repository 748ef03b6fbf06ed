"""A host whose first process is a real systemd, for units as operators have them."""

import os
import time

from nines_test import Skip

SYSTEMD = "/lib/systemd/systemd"
# None of this machine's own units is there: they would work on its files and devices.
_BEGIN = """#!/bin/sh -e
mount --make-rprivate /
ip link set lo up
umount --recursive /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
if [ {is_unified} = yes ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 tmpfs /run
for folder in /etc/systemd/system /usr/lib/systemd/system /usr/local/lib/systemd/system \\
  /usr/lib/systemd/system-generators /usr/lib/systemd/system-environment-generators; do
  if [ -d $folder ]; then mount -t tmpfs tmpfs $folder; fi
done
mkdir -p /run/systemd/system
for unit in nines-test sysinit basic network shutdown; do
  printf '[Unit]\\nDescription=Nothing but what is asked for\\nDefaultDependencies=no\\n' \\
    > /run/systemd/system/$unit.target
done
export container=nines-test
export SYSTEMD_UNIT_PATH=/run/systemd/system
exec {systemd} --system --unit=nines-test.target --log-target=console --show-status=no
"""


def _groups():
    """Where this machine's systemd hierarchy is, and whether it is the unified one."""
    for folder, is_unified in (("/sys/fs/cgroup/systemd", False), ("/sys/fs/cgroup", True)):
        if os.path.exists(f"{folder}/cgroup.procs"):
            return folder, is_unified
    raise Skip("there is no hierarchy of control groups for systemd")


def _remove(group):
    """Groups of processes that have just been killed are busy for a moment."""
    for folder, _, _ in os.walk(group, topdown=False):
        for _ in range(100):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.02)


class SystemdHost:
    """Network, mounts, processes and control groups of its own; enter and run as of a Namespace."""

    def __init__(self, scope, name):
        if os.geteuid() != 0 or not os.path.exists(SYSTEMD):
            raise Skip(f"a host of its own takes root and {SYSTEMD}")
        self.scope, self.name = scope, name
        root, is_unified = _groups()
        group = f"{root}/nines-test-{os.getpid()}-{name}"
        os.mkdir(group)
        self.holder = None
        scope.on_end(self._end, group)
        begin = scope.write(f"begin-{name}", _BEGIN.format(
            systemd=SYSTEMD, is_unified="yes" if is_unified else "no"), mode=0o755)
        # Joined before the namespace is made: the group is its root.
        self.holder = scope.start(
            ["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec unshare --net --mount --uts --ipc "
             f"--pid --fork --kill-child --mount-proc --cgroup {begin}"], name=f"systemd-{name}")
        self.enter = []
        scope.wait_until(self._is_up, 30, what=f"systemd of {name}")
        assert self.enter, f"no systemd: {self.holder.log()}"

    def _is_up(self):
        if not self.holder.alive():
            return True
        with open(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children",
                  encoding="ascii") as file:
            children = file.read().split()
        if not children:
            return False
        enter = ["nsenter", "--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup",
                 "--target", children[0]]
        done = self.scope.run([*enter, "--", "systemctl", "is-active", "nines-test.target"],
                              check=False)
        if done.stdout.strip() == "active":
            self.enter = enter
        return bool(self.enter)

    def _end(self, group):
        if self.holder:
            self.holder.stop()  # and its child with it, which is the first process of all in there
        _remove(group)

    def start(self, arguments, **options):
        return self.scope.start(self.enter + ["--"] + arguments, **options)

    def run(self, arguments, **options):
        return self.scope.run(self.enter + ["--"] + arguments, **options)

    def write_unit(self, name, text):
        """The unit, or with a slash in its name what is dropped in to one; read by reload()."""
        self.run(["sh", "-c", f"mkdir -p $(dirname /run/systemd/system/{name}) && "
                              f"cat > /run/systemd/system/{name} <<'END'\n{text}\nEND"])

    def systemctl(self, *arguments, **options):
        return self.run(["systemctl", *arguments], **options)
