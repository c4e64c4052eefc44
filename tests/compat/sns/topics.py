"""What the tests of topics share: queues, endpoints, signatures checked as a receiver does it."""
import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Compat

ALLOW = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},' \
        '"Action":"sqs:SendMessage","Resource":"*"}]}'


class Endpoint:
    """An http or https endpoint: notes what it is sent, confirms subscriptions when told to."""

    def __init__(self, certificate=None):
        self.got, self.statuses, self.changed = [], [], threading.Condition()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                with endpoint.changed:
                    endpoint.got.append((dict(self.headers.items()), body))
                    status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                    endpoint.changed.notify_all()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:  # the server has ended meanwhile
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        """(headers, body) of the message of that number."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.got) >= count, 30):
                raise AssertionError(f"only {len(self.got)} of {count} messages came")
            return self.got[count - 1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def visit(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def verify(document, certificate_text):
    """By openssl, as a receiver does it."""
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if document["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{document[name]}\n" for name in names if name in document)
    digest = {"1": "-sha1", "2": "-sha256"}[document["SignatureVersion"]]
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        (at / "c.pem").write_text(certificate_text)
        (at / "text").write_text(text)
        (at / "signature").write_bytes(base64.b64decode(document["Signature"]))
        key = subprocess.run(["openssl", "x509", "-in", at / "c.pem", "-pubkey", "-noout"],
                             capture_output=True, check=True).stdout
        (at / "key").write_bytes(key)
        run = subprocess.run(["openssl", "dgst", digest, "-verify", at / "key", "-signature",
                              at / "signature", at / "text"], capture_output=True)
    return run.returncode == 0


class Base(Compat):
    def setUp(self):
        self.sns, self.sqs = self.client("sns"), self.client("sqs")

    def topic(self, suffix="", tags=None, **attributes):
        if suffix == ".fifo":
            attributes["FifoTopic"] = "true"
        more = {"Tags": tags} if tags else {}
        arn = self.sns.create_topic(Name=self.name("t") + suffix, Attributes=attributes,
                                    **more)["TopicArn"]
        self.addCleanup(self.sns.delete_topic, TopicArn=arn)
        return arn

    def queue(self, suffix="", policy=ALLOW, **attributes):
        if suffix == ".fifo":
            attributes["FifoQueue"] = "true"
        if policy:
            attributes["Policy"] = policy
        url = self.sqs.create_queue(QueueName=self.name("q") + suffix,
                                    Attributes=attributes)["QueueUrl"]
        self.addCleanup(self.sqs.delete_queue, QueueUrl=url)
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, arn["Attributes"]["QueueArn"]

    def subscribe(self, topic, protocol, endpoint, **attributes):
        return self.sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint,
                                  Attributes=attributes,
                                  ReturnSubscriptionArn=True)["SubscriptionArn"]

    def fan(self, topic, suffix="", **attributes):
        """A new queue that is subscribed: (url, arn of the subscription)."""
        url, arn = self.queue(suffix)
        return url, self.subscribe(topic, "sqs", arn, **attributes)

    def take(self, url, count=1):
        """That many messages, in the order they come; they are deleted."""
        found = []
        while len(found) < count:
            got = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20, AttributeNames=["All"],
                MessageAttributeNames=["All"]).get("Messages", [])
            self.assertTrue(got, f"only {len(found)} of {count} messages came")
            for one in got:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            found += got
        self.assertEqual(len(found), count)
        return found

    def none(self, url):
        self.assertNotIn("Messages", self.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1))

    def endpoint(self):
        out = Endpoint()
        self.addCleanup(out.stop)
        return out

    def advance(self, text):
        urllib.request.urlopen(self.server.url + "/_mayfly/clock",
                               json.dumps({"advance": text}).encode(), timeout=10).close()
