"""An admission webhook: stamps config maps, and refuses those whose names begin with "bad"."""

import base64
import http.server
import json
import ssl


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": True}
        name = request["object"]["metadata"]["name"]
        if self.path.startswith("/mutate"):
            patch = [{"op": "add", "path": "/data/stamp", "value": "python"}]
            response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
            response["patchType"] = "JSONPatch"
            response["warnings"] = [name + " is stamped"]
        elif name.startswith("bad"):
            response["allowed"] = False
            response["status"] = {"code": 403, "reason": "Forbidden", "message": "bad names are not welcome"}
        answer = {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
