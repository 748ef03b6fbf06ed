#!/usr/bin/python3
"""Servers that are units of a real systemd, with what Debian's mariadb.service says: restarted when
they die, never killed by it."""
# timeout: 400

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import Skip, main, test, wait_until  # noqa: E402
from galera_lib import Cluster, new_cluster  # noqa: E402
from systemd_host import SystemdHost  # noqa: E402

PACKAGED = "/lib/systemd/system/mariadb.service"
RECOVERY = "/usr/bin/galera_recovery"

# The packaged unit is for the host's one server; this one is for the member's own files.
_MEMBER = """[Service]
ExecStart=
ExecStart=/bin/sh -c "set -f; VAR=`{recovery} --defaults-file={folder}/my.cnf`; \\
 [ $? -eq 0 ] || exit 1; \\
 exec /usr/sbin/mariadbd --defaults-file={folder}/my.cnf $_WSREP_NEW_CLUSTER $VAR"
ExecStartPost=
Restart={restart}
RestartSec=1s
"""


class ClusterOfUnits(Cluster):
    def nines_yaml(self, member):
        text = super().nines_yaml(member)
        lines = text.splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith("    process:"))
        lines[at] = (f"    unit: galera-{member.name}.service\n"
                     f"    recover: [/usr/sbin/mariadbd, "
                     f"--defaults-file={member.folder}/my.cnf]\n")
        return "".join(lines)

    def move_to_systemd(self):
        """The members, which are down, become units of another host."""
        self.host = SystemdHost(self.scope, "units")
        with open(PACKAGED, encoding="utf-8") as file:
            packaged = file.read()
        assert "SendSIGKILL=no" in packaged, packaged
        for member in self.members:
            self.host.write_unit(f"galera-{member.name}.service", packaged)
            self.set_restart(member, "on-abnormal")

    def set_restart(self, member, when):
        self.host.write_unit(
            f"galera-{member.name}.service.d/member.conf",
            _MEMBER.format(recovery=RECOVERY, folder=member.folder, restart=when))
        self.host.systemctl("daemon-reload")

    def unit(self, member, what):
        return self.host.systemctl("show", "--value", f"--property={what}",
                                   f"galera-{member.name}.service").stdout.strip()


@test
def units_are_started_stopped_and_ended_where_they_wait_for_ever(scope):
    for path in (PACKAGED, RECOVERY):
        if not os.path.exists(path):
            raise Skip(f"tools/deps lab-real has not been run: there is no {path}")
    cluster = new_cluster(scope, kind=ClusterOfUnits)
    cluster.move_to_systemd()
    one, two, three = cluster.members

    # All had been stopped in good order: one begins, the others join.
    said = one.must("recover")
    assert "all members are in the primary component" in said, said
    assert all(cluster.unit(m, "ActiveState") == "active" for m in cluster.members), said
    assert cluster.host.systemctl("show-environment").stdout.count("_WSREP_NEW_CLUSTER") == 0, said

    # They die one after another, and systemd starts all but one again. Those wait for it, whose
    # view they know, and hear no SIGTERM meanwhile.
    for member in (two, one):
        cluster.set_restart(member, "no" if member is two else "on-abnormal")
    writers = cluster.write([one])
    three.kill()
    wait_until(lambda: one.status("wsrep_cluster_size") == "2", 20, "a view without node03")
    two.kill()
    one.kill()
    kept = [row for writer in writers for row in writer.stop()]
    wait_until(lambda: one.pid() and three.pid(), 20, "systemd starts them again")
    said = three.must("recover")
    assert "no primary component" not in said and "bootstrapping" in said, said
    assert "wait for a primary component" in said, said
    assert "all members are in the primary component" in said, said
    assert cluster.missing(kept) == [], said
    assert all(cluster.unit(m, "ActiveState") == "active" for m in cluster.members), said

    said = two.must("restart", "--last", one.name)
    assert "all members are synced" in said, said
    assert cluster.missing(kept) == [], said


main()
