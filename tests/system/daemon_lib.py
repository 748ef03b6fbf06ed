"""What a host with `nines run` has in common in tests of several: a mixin for classes with a scope, a
name, a host (Namespace), the path of a nines.yaml as config and of its control socket as control."""

import json
import subprocess

from nines_test import NINES


class Daemon:
    daemon = None

    def start(self):
        self.daemon = self.host.start([NINES, "run", "-c", self.config],
                                      name=f"nines-{self.name}-{len(self.scope.processes)}")
        self.scope.wait_until(lambda: "all planes are at work" in self.daemon.log() or
                              not self.daemon.alive(), 20, f"{self.name} to start")
        assert self.daemon.alive(), self.daemon.log()

    def _status(self, *arguments):
        return subprocess.run([NINES, "status", *arguments, "--control", self.control],
                              capture_output=True, text=True, timeout=10, check=False).stdout

    def status(self):
        return json.loads(self._status("--json"))

    def words(self):
        """The status as people see it."""
        return self._status()
