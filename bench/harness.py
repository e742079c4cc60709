"""What the benchmarks share: scratch space, data, timed processes and servers on loopback."""

import contextlib
import hashlib
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROUNDS = 5
MIB = 1 << 20
GIB = 1 << 30


class Bench:
    """One run of all benchmarks: the program under test and a scratch directory."""

    def __init__(self, weft, peer_bench, scratch):
        self.weft = str(Path(weft).resolve())
        self.peer_bench = str(Path(peer_bench).resolve())
        self.scratch = Path(scratch)
        self.rows = []

    def row(self, work, against, ratio, target, better, detail):
        """Records one line of the table; `better` says whether a ratio should be high or low."""
        met = ratio <= target if better == "low" else ratio >= target
        self.rows.append(dict(work=work, against=against, ratio=round(ratio, 3), target=target,
                              better=better, met=met, detail=detail))
        sign = "≤" if better == "low" else "≥"
        print(f"{work}: {ratio:.2f} (target {sign} {target}) {'met' if met else 'NOT met'}")
        print(f"    {detail}", flush=True)

    def repo(self, name, **settings):
        """A new repository with these configuration keys set ("." written as "__")."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        settings = {"storage__max": "60GiB", **settings}
        for key, value in settings.items():
            self.run(["--repo", path, "config", "set", key.replace("__", "."), value])
        return path

    def run(self, arguments):
        """Runs the program and returns what it printed."""
        command = [self.weft, *map(str, arguments)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    @contextlib.contextmanager
    def node(self, repo, *options):
        """A running node: yields its gateway URL, its process and the seconds to its first line."""
        command = [self.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
                   "--api", "127.0.0.1:0", "--offline", *options]
        with self.running(command) as (first, process, elapsed):
            yield first["gateway"], process, elapsed

    @contextlib.contextmanager
    def running(self, command):
        """A node: yields its first line, its process and the seconds to that line."""
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            readable, _, _ = select.select([process.stdout], [], [], 60)
            if not readable:
                raise RuntimeError("the node did not start within 60 s")
            first = json.loads(process.stdout.readline())
            yield first, process, time.monotonic() - start
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def peer(self, repo):
        """A node that listens for peers on loopback and joins no network: yields its address and
        its process."""
        command = [self.weft, "--repo", str(repo), "up", "--json", "--gateway", "127.0.0.1:0",
                   "--listen", "/ip4/127.0.0.1/tcp/0", "--no-bootstrap", "--no-mdns",
                   "--no-port-mapping"]
        with self.running(command) as (first, process, _):
            yield f"{first['listen'][0]}", process

    @contextlib.contextmanager
    def nginx(self, root, tls=False):
        """nginx with one worker and sendfile, serving `root`, if wanted over TLS 1.3: yields its
        URL."""
        port = free_port()
        home = Path(tempfile.mkdtemp(dir=self.scratch))
        os.chmod(self.scratch, 0o755)
        os.chmod(home, 0o755)
        security = self.certificate(home) if tls else ""
        listen = f"127.0.0.1:{port}" + (" ssl" if tls else "")
        config = home / "nginx.conf"
        config.write_text(f"""
            daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
            user root;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
                open_file_cache max=10000;
                client_body_temp_path {home}/a; proxy_temp_path {home}/b;
                fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
                {security}
                server {{ listen {listen}; root {root}; }}
            }}""")
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        process = subprocess.Popen([binary, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            yield f"http{'s' if tls else ''}://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)

    @staticmethod
    def certificate(home):
        """Makes a certificate; returns the lines of nginx's configuration that use it."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                        "-keyout", home / "key.pem", "-out", home / "certificate.pem"],
                       check=True, stderr=subprocess.DEVNULL)
        return (f"ssl_certificate {home}/certificate.pem; ssl_certificate_key {home}/key.pem; "
                "ssl_protocols TLSv1.3;")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def seconds(command, **options):
    """The wall time of a command that must succeed."""
    start = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, **options)
    return time.monotonic() - start


def median(values):
    return statistics.median(values)


def random_bytes(count, seed):
    """Bytes that do not compress and are the same in every run."""
    return hashlib.shake_256(seed.encode()).digest(count)


def random_file(path, size, seed):
    """Writes a file of AES-CTR key stream, which is as fast as the disk."""
    key = hashlib.sha256(seed.encode()).hexdigest()
    with open(path, "wb") as out:
        zeros = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
        subprocess.run(["openssl", "enc", "-aes-256-ctr", "-K", key, "-iv", "0" * 32],
                       stdin=zeros.stdout, stdout=out, check=True)
        zeros.wait()
    return path


def small_files(folder, count):
    """`count` files of 1 KiB in folders of 1,000."""
    content = memoryview(random_bytes(count * 1024, folder.name))
    for index in range(count):
        if index % 1000 == 0:
            part = folder / f"{index // 1000:03}"
            part.mkdir(parents=True)
        (part / f"{index:06}").write_bytes(content[index * 1024:(index + 1) * 1024])
    return folder


def warm(path):
    """Reads a file once, so that it is in the page cache."""
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass


def processor_seconds(pid):
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid, field="VmRSS"):
    """A process's resident memory (VmRSS), or its highest value so far (VmHWM), in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/status has no {field}")
