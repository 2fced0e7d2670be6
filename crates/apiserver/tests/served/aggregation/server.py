"""An API server behind the API server: it keeps notes in memory and writes down who made them."""

import http.server
import json
import ssl
import threading
import urllib.parse
import uuid

ROOT = "/apis/notes.example.com/v1"
notes = {}
changed = threading.Condition()
events = []


def place(path):
    """Namespace and name that a path means, either of which may be empty; None for what is no place of notes."""
    parts = path.removeprefix(ROOT).strip("/").split("/")
    namespace, rest = (parts[1], parts[2:]) if parts[0] == "namespaces" and len(parts) > 1 else ("", parts)
    return (namespace, (rest + [""])[1]) if rest[:1] == ["notes"] else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def asker(self):
        """Whom the front proxy names; nobody is believed without its certificate."""
        subject = dict(pair[0] for pair in (self.connection.getpeercert() or {}).get("subject", ()))
        return self.headers["X-Remote-User"] if subject.get("commonName") == "front-proxy-client" else None

    def answer(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, code, reason, name=""):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                           "message": "notes: " + reason, "details": {"name": name, "kind": "notes"}})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        asked = place(path)
        if self.asker() is None:
            self.fail(401, "Unauthorized")
        elif path == ROOT:
            resource = {"name": "notes", "singularName": "note", "namespaced": True, "kind": "Note",
                        "verbs": ["create", "delete", "get", "list", "watch"]}
            self.answer(200, {"kind": "APIResourceList", "apiVersion": "v1",
                              "groupVersion": "notes.example.com/v1", "resources": [resource]})
        elif asked is None:
            self.fail(404, "NotFound")
        elif "watch=" in query:
            self.watch(asked[0], urllib.parse.parse_qs(query))
        elif not asked[1]:
            with changed:
                items = [note for key, note in notes.items() if asked[0] in ("", key[0])]
                version = str(len(events))
            self.answer(200, {"kind": "NoteList", "apiVersion": "notes.example.com/v1",
                              "metadata": {"resourceVersion": version}, "items": items})
        elif asked in notes:
            self.answer(200, notes[asked])
        else:
            self.fail(404, "NotFound", asked[1])

    def watch(self, namespace, query):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        told = int(query["resourceVersion"][0]) if "resourceVersion" in query else len(events)
        while True:
            with changed:
                changed.wait_for(lambda: len(events) > told)
                event = events[told]
            told += 1
            if namespace in ("", event["object"]["metadata"]["namespace"]):
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()

    def do_POST(self):
        note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = (place(self.path.partition("?")[0])[0], note["metadata"]["name"])
        with changed:
            known = key in notes
            if not known:
                version = str(len(events) + 1)
                note["metadata"].update(namespace=key[0], resourceVersion=version, uid=str(uuid.uuid4()))
                note["author"] = self.asker()
                notes[key] = note
                events.append({"type": "ADDED", "object": note})
                changed.notify_all()
        if known:
            self.fail(409, "AlreadyExists", key[1])
        else:
            self.answer(201, note)

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        key = place(self.path.partition("?")[0])
        with changed:
            note = notes.pop(key, None)
            if note:
                gone = dict(note, metadata=dict(note["metadata"], resourceVersion=str(len(events) + 1)))
                events.append({"type": "DELETED", "object": gone})
                changed.notify_all()
        if note:
            self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        else:
            self.fail(404, "NotFound", key[1])

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("0.0.0.0", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls.pem")
context.load_verify_locations("front-proxy-ca.pem")
context.verify_mode = ssl.CERT_OPTIONAL
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
