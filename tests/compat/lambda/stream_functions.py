"""The functions of stream_test.py."""

# One handler, told by the event (or by the query of its URL) what to do.
HANDLER = """
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const { once } = require('events');
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const modes = {
  // Each part tells when it was made.
  async stamps(event, stream) {
    for (let i = 0; i < 4; i++) {
      stream.write(Date.now() + '\\n');
      await wait(150);
    }
    stream.end(Date.now() + '\\n');
  },
  // Pieces of 1 MiB, each with the time it was made at its front.
  async big(event, stream) {
    for (let i = 0; i < Number(event.pieces); i++) {
      const piece = Buffer.alloc(1 << 20, 46);
      piece.write(String(Date.now()).padStart(16));
      if (!stream.write(piece)) await once(stream, 'drain');
    }
    stream.end();
  },
  async pipe(event, stream) {
    await pipeline(Readable.from(['x', 'y', 'z']), stream);
  },
  async broken(event, stream) {
    const source = Readable.from((async function* () {
      yield 'x';
      await wait(50);
      throw new RangeError('the source broke');
    })());
    await pipeline(source, stream);
  },
  async json(event, stream) {
    stream.setContentType('application/json');
    stream.end({ a: [1] });
  },
  async late(event, stream) {
    setTimeout(() => stream.end('late'), 50);
  },
  async early() {
    throw new TypeError('nothing was written');
  },
  async middle(event, stream) {
    stream.write('first');
    await wait(50);
    throw new TypeError('in the middle');
  },
  async open(event, stream) {
    stream.write('first');
  },
  async hang(event, stream) {
    stream.write('first');
    await wait(60000);
  },
  async killed(event, stream) {
    stream.write('first');
    await wait(50);
    process.kill(process.pid, 'SIGKILL');
    await wait(60000);
  },
  async exit(event, stream) {
    stream.write('first');
    await wait(50);
    process.exit(3);
  },
  async uncaught(event, stream) {
    stream.write('first');
    setTimeout(() => { throw new Error('nobody catches this'); }, 20);
    await wait(60000);
  },
  // Goes on for a while and says so at its end.
  async steady(event, stream) {
    for (let i = 0; i < 20; i++) {
      stream.write(Buffer.alloc(65536, 46));
      await wait(20);
    }
    stream.end();
    console.log('steady to the end');
  },
  // The credit is used up when the function fails: nobody takes anything.
  async stuck(event, stream) {
    stream.on('error', () => {});
    for (let i = 0; i < 16; i++) stream.write(Buffer.alloc(1 << 20, 46));
    await wait(200);
    throw new Error('stuck');
  },
  async linger(event, stream, context) {
    context.callbackWaitsForEmptyEventLoop = event.wait !== 'no';
    setTimeout(() => console.log('lingered'), 100);
    stream.end('x');
  },
  async head(event, stream) {
    stream.end();
  },
  async pid(event, stream) {
    stream.end(String(process.pid));
  },
};
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const asked = { ...event, ...event.queryStringParameters };
  if (asked.prelude) {
    const prelude = JSON.parse(asked.prelude);
    if (asked.fill) prelude.headers = { fill: 'x'.repeat(asked.fill) };
    stream = awslambda.HttpResponseStream.from(stream, prelude);
  }
  return modes[asked.mode](asked, stream, context);
});
"""

# A custom runtime that streams, in bash: the event's text says which way it ends.
BOOTSTRAP = r"""#!/bin/bash
set -u
api="$AWS_LAMBDA_RUNTIME_API"
dial() { exec 3<>"/dev/tcp/${api%:*}/${api#*:}"; }
chunk() { printf '%x\r\n%s\r\n' "${#1}" "$1" >&3; }
while true; do
  dial
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3
  id='' length=0
  while IFS=': ' read -r name value <&3; do
    value="${value%$'\r'}"
    case "${name,,}" in
      lambda-runtime-aws-request-id) id="$value" ;;
      content-length) length="$value" ;;
      $'\r' | '') break ;;
    esac
  done
  LC_ALL=C IFS= read -r -d '' -N "$length" event <&3
  exec 3>&-
  dial
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n' "$id" >&3
  printf 'Lambda-Runtime-Function-Response-Mode: streaming\r\n' >&3
  printf 'Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n' >&3
  printf 'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n' >&3
  printf '\r\n' >&3
  chunk "one "
  read -r -t 0.2 _ < <(sleep 1)
  chunk "two"
  case "$event" in
    *trailer*)
      printf '0\r\nLambda-Runtime-Function-Error-Type: Function.Mine\r\n' >&3
      body=eyJlcnJvck1lc3NhZ2UiOiJteSBvd24ifQ==
      printf 'Lambda-Runtime-Function-Error-Body: %s\r\n\r\n' "$body" >&3 ;;
    *cut*) exec 3>&-; continue ;;
    *exit*) exit 7 ;;
    *) printf '0\r\n\r\n' >&3 ;;
  esac
  read -r _ <&3
  exec 3>&-
done
"""
