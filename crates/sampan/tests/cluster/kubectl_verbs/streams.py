"""What the official Python client does with a pod that echoes on port 9000. Arguments: kubeconfig, namespace."""

import sys
import time

from kubernetes import client, config
from kubernetes.stream import portforward, stream

config.load_kube_config(config_file=sys.argv[1])
api, namespace = client.CoreV1Api(), sys.argv[2]


def run(script, **options):
    flags = {"stderr": True, "stdin": False, "stdout": True, "tty": False, **options}
    command = ["sh", "-c", script]
    return stream(api.connect_get_namespaced_pod_exec, "echo", namespace, command=command, **flags)


assert run("echo out; echo err >&2").split() == ["out", "err"]
print("commands")

session = run("read line; echo got $line; exit 7", stdin=True, _preload_content=False)
session.write_stdin("typed\n")
session.run_forever(timeout=20)
assert session.read_stdout() == "got typed\n"
print("input")
assert session.returncode == 7, session.returncode
print("ends")

ports = portforward(api.connect_get_namespaced_pod_portforward, "echo", namespace, ports="9000,81")
sock = ports.socket(9000)
sock.settimeout(20)
said = bytes(range(256)) * 400
sock.sendall(said)
heard = b""
while len(heard) < len(said):
    chunk = sock.recv(65536)
    assert chunk, len(heard)
    heard += chunk
assert heard == said
print("ports")

deadline = time.monotonic() + 20
while not ports.error(81):
    assert time.monotonic() < deadline, "no error of port 81"
    time.sleep(0.05)
assert "connection refused" in ports.error(81), ports.error(81)
print("refused")
