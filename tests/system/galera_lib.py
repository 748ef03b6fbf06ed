"""Real Galera clusters for tests: MariaDB servers at loopback addresses of one namespace, each with
its own directory and nines.yaml. What is killed is killed by its id."""

import os
import pwd
import shutil
import signal
import subprocess
import threading

from nines_test import NINES, Namespace, Skip, wait_until

USER, PASSWORD = "nines", "a-password-of-the-test"
MARIADBD = "/usr/sbin/mariadbd"
PROGRAMS = (MARIADBD, "/usr/lib/galera/libgalera_smm.so", "/usr/bin/rsync")

_CONFIGURATION = """[mysqld]
user=mysql
datadir={folder}/data
tmpdir={folder}/tmp
socket={folder}/socket
pid-file={folder}/pid
log-error={folder}/log
bind-address={address}
skip-name-resolve
binlog_format=ROW
default_storage_engine=InnoDB
innodb_autoinc_lock_mode=2
innodb_flush_log_at_trx_commit=1
innodb_buffer_pool_size=32M
innodb_log_file_size=8M
performance_schema=OFF
wsrep_on=ON
wsrep_provider=/usr/lib/galera/libgalera_smm.so
wsrep_cluster_name=test
wsrep_sst_method=rsync
wsrep_cluster_address=gcomm://{all}
wsrep_node_address={address}
wsrep_node_name={name}
wsrep_provider_options="gcache.size=16M;gmcast.listen_addr=tcp://{address}:4567;\
ist.recv_addr={address}:4568;evs.keepalive_period=PT0.25S;evs.inactive_check_period=PT0.2S;\
evs.suspect_timeout=PT1S;evs.inactive_timeout=PT3S;evs.install_timeout=PT3S"
"""

# Stands for ssh. The configuration that nines says is the asking host's; the last one counts.
_REACH = """member=$1; shift
if [ -e {folder}/away-$member ]; then echo "no route to host" >&2; exit 255; fi
exec {nines} "$@" -c {folder}/$member/nines.yaml
"""


class Member:
    def __init__(self, cluster, number):
        self.cluster, self.name = cluster, f"node{number:02}"
        self.address = f"127.0.0.{number}"
        self.folder = f"{cluster.scope.folder}/{self.name}"
        self.data = f"{self.folder}/data"
        self.socket = f"{self.folder}/socket"
        self.process = None
        for name in ("", "/tmp"):
            os.mkdir(self.folder + name)
        self.config = f"{self.folder}/nines.yaml"

    def write_files(self):
        everyone = ",".join(m.address for m in self.cluster.members)
        with open(f"{self.folder}/my.cnf", "w", encoding="utf-8") as file:
            file.write(_CONFIGURATION.format(folder=self.folder, address=self.address,
                                             name=self.name, all=everyone))
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.cluster.nines_yaml(self))
        self.own()

    def set(self, *lines):
        """Lines behind those of its my.cnf, where the last one counts."""
        with open(f"{self.folder}/my.cnf", "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def own(self):
        """All of the member's directory to the server's user."""
        user = pwd.getpwnam("mysql")
        for folder, names, files in os.walk(self.folder):
            for name in ["", *names, *files]:
                os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid,
                         follow_symlinks=False)

    def start(self, *arguments):
        self.process = self.cluster.host.start(
            [MARIADBD, f"--defaults-file={self.folder}/my.cnf", *arguments],
            name=f"mariadbd-{self.name}")

    def pid(self):
        """Of the server that has the data, whoever started it; None when there is none."""
        for name in os.listdir("/proc"):
            try:
                if (name.isdigit() and os.readlink(f"/proc/{name}/cwd") == self.data
                        and os.path.basename(os.readlink(f"/proc/{name}/exe")) == "mariadbd"):
                    return int(name)
            except OSError:
                pass
        return None

    def set_away(self, is_away):
        """Whether its host cannot be asked."""
        path = f"{self.cluster.scope.folder}/away-{self.name}"
        if is_away:
            open(path, "w", encoding="utf-8").close()
        elif os.path.exists(path):
            os.unlink(path)

    def kill(self):
        """As a power cut does, but for what the disk's cache held."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid() is None, what=f"{self.name} is dead")

    def sql(self, statement, timeout=20):
        """Its output, a row a line; raises when the server refuses it."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--user=root", f"--socket={self.socket}", "-NBe",
             statement], capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    def state(self):
        """wsrep_cluster_status and wsrep_local_state_comment; empty while it does not answer."""
        try:
            rows = dict(line.split("\t") for line in self.sql(
                "SHOW STATUS WHERE Variable_name IN "
                "('wsrep_cluster_status','wsrep_local_state_comment')").splitlines())
        except (AssertionError, ValueError, subprocess.TimeoutExpired):
            return ""
        return f"{rows.get('wsrep_cluster_status')} {rows.get('wsrep_local_state_comment')}"

    def status(self, name):
        """The value of one status variable."""
        return self.sql(f"SHOW STATUS LIKE '{name}'").split("\t")[1]

    def wait_synced(self, timeout=40):
        wait_until(lambda: self.state() == "Primary Synced", timeout, f"{self.name} is synced")

    def nines_command(self, *arguments):
        return [NINES, "galera", *arguments, "-c", self.config]

    def nines(self, *arguments, timeout=60):
        """`nines galera ARGUMENTS` on this member's host: the completed process."""
        return subprocess.run([*self.cluster.host.enter, "--", *self.nines_command(*arguments)],
                              capture_output=True, text=True, timeout=timeout, check=False)

    def must(self, *arguments, timeout=200):
        """As nines(), which has to end well: all that it said."""
        done = self.nines(*arguments, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


class Writer(threading.Thread):
    """Commits through one member, one row after another, and keeps what was acknowledged."""

    def __init__(self, member, first):
        super().__init__(daemon=True)
        self.member, self.acknowledged, self.next = member, [], first
        self.client = subprocess.Popen(
            ["mariadb", "--no-defaults", "--user=root", f"--socket={member.socket}", "-NB",
             "--unbuffered"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.is_over = False
        self.start()

    def run(self):
        try:
            while not self.is_over:
                row, self.next = self.next, self.next + 1
                self.client.stdin.write(f"INSERT INTO test.commits VALUES ({row}, "
                                        f"'{self.member.name}'); SELECT {row};\n")
                self.client.stdin.flush()
                if self.client.stdout.readline().strip() != str(row):
                    return  # its server is gone; whether this row is there nobody was told
                self.acknowledged.append(row)
        except OSError:
            pass

    def stop(self):
        """Rows that were acknowledged."""
        self.is_over = True
        self.join(5)
        self.client.kill()
        self.client.wait()
        return self.acknowledged


class Cluster:
    """Of `count` members that were installed, given the accounts, and stopped in good order."""

    def __init__(self, scope, count=3, settings=""):
        self.scope, self.settings, self.rows = scope, settings, 0
        self.host = Namespace(scope, "galera")
        self.credentials = scope.write("galera.credentials",
                                       f"user = {USER}\npassword = {PASSWORD}\n")
        os.chmod(self.credentials, 0o600)
        # The way to a member's host; a file named away-NAME cuts it off.
        self.reach = scope.write("reach", "#!/bin/sh\n" + _REACH.format(
            folder=scope.folder, nines=NINES), mode=0o755)
        self.members = []
        for number in range(1, count + 1):
            self.members.append(Member(self, number))
        for member in self.members:
            member.write_files()
        # Their data is gone with the test: an orderly end would only take time.
        scope.on_end(lambda: [member.kill() for member in self.members])
        self._install()

    def nines_yaml(self, member):
        lines = "".join(f"    {m.name}: {m.address}\n" for m in self.members)
        return (f"galera:\n  members:\n{lines}  self: {member.name}\n"
                f"  socket: {member.socket}\n  credentials: {self.credentials}\n"
                f"  data: {member.data}\n  state: {member.folder}/state\n"
                f"  server:\n    process: [{MARIADBD}, "
                f"--defaults-file={member.folder}/my.cnf]\n"
                f"  reach: [{self.reach}, '{{member}}']\n" + self.settings)

    def _install(self):
        """The others get copies of the first one's files, so that they need no state transfer."""
        first = self.members[0]
        self.scope.run(["mariadb-install-db", "--no-defaults", "--user=mysql",
                        f"--datadir={first.data}", f"--tmpdir={first.folder}/tmp",
                        "--auth-root-authentication-method=normal",
                        "--skip-test-db", "--innodb-log-file-size=8M"])
        first.start("--wsrep-new-cluster")
        first.wait_synced()
        first.sql(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}';"
                  f"GRANT SUPER ON *.* TO {USER}@'%';"
                  "CREATE DATABASE test;"
                  "CREATE TABLE test.commits (id INT PRIMARY KEY, member CHAR(8))")
        first.process.signal(signal.SIGTERM)
        first.process.wait(30)
        for member in self.members[1:]:
            shutil.copytree(first.data, member.data)
            member.own()

    def write(self, members):
        """Writers at these, each with rows of its own; all have committed when this returns."""
        writers = []
        for member in members:
            self.rows += 1_000_000
            writers.append(Writer(member, self.rows))
        for writer in writers:
            wait_until(lambda w=writer: len(w.acknowledged) > 20, 20, "commits")
        return writers

    def missing(self, acknowledged):
        """Of those rows, what is not there on some member."""
        lost = set()
        for member in self.members:
            there = {int(row) for row in member.sql("SELECT id FROM test.commits").split()}
            lost |= set(acknowledged) - there
        return sorted(lost)

    def start_all(self):
        first = self.members[0]
        with open(f"{first.data}/grastate.dat", encoding="utf-8") as file:
            text = file.read()
        with open(f"{first.data}/grastate.dat", "w", encoding="utf-8") as file:
            file.write(text.replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1"))
        first.start("--wsrep-new-cluster")
        first.wait_synced()
        for member in self.members[1:]:
            member.start()
        for member in self.members[1:]:
            member.wait_synced()


def new_cluster(scope, kind=Cluster, **options):
    missing = [each for each in PROGRAMS if not os.path.exists(each)]
    if missing:
        raise Skip(f"tools/deps lab-real has not been run: there is no {missing[0]}")
    if os.geteuid() != 0:
        raise Skip("servers run as another user, which takes root")
    return kind(scope, **options)
