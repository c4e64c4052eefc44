'use strict';
// Probes of the larger subsystems (see fork_probes.js): network, processes, threads, compilers,
// collector.

const fs = require('fs');
const os = require('os');
const path = require('path');
const { once } = require('events');
const childProcess = require('child_process');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const wait = (start) =>
  new Promise((resolve, reject) =>
    start((error, value) => (error ? reject(error) : resolve(value))),
  );
const listen = async (server, ...address) => {
  server.listen(...(address.length ? address : [0, '127.0.0.1']));
  await once(server, 'listening');
  return server.address().port;
};
async function text(stream) {
  let out = '';
  for await (const chunk of stream) out += chunk;
  return out;
}

const probes = {};
module.exports = probes;

// ---- crypto, compression ------------------------------------------------------------------------

const crypto = require('crypto');
const zlib = require('zlib');
Object.assign(probes, {
  pbkdf2: async () =>
    (await wait((cb) => crypto.pbkdf2('a', 'b', 1000, 16, 'sha256', cb))).toString('hex'),
  scrypt: async () => (await wait((cb) => crypto.scrypt('a', 'b', 16, cb))).toString('hex'),
  'random bytes': async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, () => wait((cb) => crypto.randomBytes(16, cb))),
    );
    return new Set(all.map((one) => one.toString('hex'))).size;
  },
  'uuids differ': () => new Set(Array.from({ length: 1000 }, () => crypto.randomUUID())).size,
  'integers differ': () =>
    new Set(Array.from({ length: 3000 }, () => crypto.randomInt(2 ** 47))).size,
  'key pair and signature': async () => {
    const { publicKey, privateKey } = await wait((cb) =>
      crypto.generateKeyPair('ec', { namedCurve: 'P-256' }, (error, publicKey, privateKey) =>
        cb(error, { publicKey, privateKey }),
      ),
    );
    const signature = crypto.sign('sha256', Buffer.from('x'), privateKey);
    return crypto.verify('sha256', Buffer.from('x'), publicKey, signature);
  },
  cipher: () => {
    const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12));
    return cipher.update('text', 'utf8', 'hex') + cipher.final('hex');
  },
  WebCrypto: async () => {
    const { subtle } = globalThis.crypto;
    const key = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']);
    const sealed = await subtle.encrypt(
      { name: 'AES-GCM', iv: new Uint8Array(12) },
      key,
      Buffer.from('x'),
    );
    const digest = await subtle.digest('SHA-512', Buffer.from('a'));
    return [sealed.byteLength, Buffer.from(digest).toString('hex')];
  },
  zlib: async () => {
    const input = Buffer.alloc(100000, 'xyz');
    const zipped = await wait((cb) => zlib.gzip(input, cb));
    const brotli = await wait((cb) => zlib.brotliCompress(input, cb));
    return [zipped.length, brotli.length, zlib.gunzipSync(zipped).equals(input)];
  },
  CompressionStream: async () => {
    const stream = new Blob(['hello '.repeat(1000)]).stream();
    const zipped = stream.pipeThrough(new CompressionStream('gzip'));
    return (await new Response(zipped).arrayBuffer()).byteLength;
  },
});

// ---- network ------------------------------------------------------------------------------------

const http = require('http');
const net = require('net');
Object.assign(probes, {
  'tcp echo': async () => {
    const server = net.createServer((socket) => socket.pipe(socket));
    const socket = net.connect(await listen(server), '127.0.0.1');
    socket.end('x'.repeat(200000));
    const back = await text(socket.setEncoding('utf8'));
    server.close();
    return back.length;
  },
  'unix socket': async () => {
    const name = path.join(os.tmpdir(), `probe-${process.pid}-${Date.now()}`);
    const server = net.createServer((socket) => socket.end('hi'));
    await listen(server, name);
    const back = await text(net.connect(name).setEncoding('utf8'));
    server.close();
    return back;
  },
  'http with keep-alive': async () => {
    const server = http.createServer((request, response) => response.end(request.url));
    const port = await listen(server);
    const agent = new http.Agent({ keepAlive: true });
    const answers = [];
    for (let i = 0; i < 20; i++) {
      const request = http.get({ port, host: '127.0.0.1', path: `/${i}`, agent });
      const [response] = await once(request, 'response');
      answers.push(await text(response), request.reusedSocket);
    }
    agent.destroy();
    server.close();
    return answers;
  },
  fetch: async () => {
    const server = http.createServer(async (request, response) => {
      response.setHeader('x-a', 'b');
      response.end(JSON.stringify({ got: await text(request) }));
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const response = await fetch(url, { method: 'POST', body: 'sent' });
    const out = [response.status, response.headers.get('x-a'), await response.json()];
    server.closeAllConnections();
    server.close();
    return out;
  },
  http2: async () => {
    const http2 = require('http2');
    const server = http2.createServer((_request, response) => response.end('two'));
    const client = http2.connect(`http://127.0.0.1:${await listen(server)}`);
    const answer = await text(client.request({ ':path': '/' }).setEncoding('utf8'));
    client.close();
    server.close();
    return answer;
  },
  tls: async () => {
    const tls = require('tls');
    const psk = Buffer.alloc(32, 7);
    const common = { ciphers: 'PSK-AES256-CBC-SHA384', maxVersion: 'TLSv1.2' };
    const server = tls.createServer(
      { ...common, pskCallback: () => psk },
      (socket) => socket.end('sealed'),
    );
    server.on('tlsClientError', () => {});
    const socket = tls.connect({
      ...common,
      port: await listen(server),
      host: '127.0.0.1',
      pskCallback: () => ({ psk, identity: 'me' }),
      checkServerIdentity: () => undefined,
    });
    const answer = await text(socket.setEncoding('utf8'));
    server.close();
    return answer;
  },
  'root certificates': () => require('tls').rootCertificates.length > 50,
  udp: async () => {
    const dgram = require('dgram');
    const server = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(server, 'listening');
    const client = dgram.createSocket('udp4');
    client.send('packet', server.address().port, '127.0.0.1');
    const [message] = await once(server, 'message');
    client.close();
    server.close();
    return message.toString();
  },
  dns: async () => {
    const dns = require('dns');
    const all = await dns.promises.lookup('localhost', { all: true });
    const numeric = await dns.promises.lookup('127.0.0.1');
    const bad = await dns.promises.lookup('name.invalid').catch((error) => error.syscall);
    const resolver = new dns.promises.Resolver({ timeout: 100, tries: 1 });
    resolver.setServers(['127.0.0.1:1']);
    const refused = await resolver.resolve4('example.test').catch((error) => error.code);
    return [all.length > 0, numeric, bad, refused];
  },
  'connection refused': async () => {
    const socket = net.connect(1, '127.0.0.1');
    const [error] = await once(socket, 'error');
    return [error.code, error.syscall];
  },
});

// ---- processes and signals ----------------------------------------------------------------------

Object.assign(probes, {
  exec: async () =>
    (await wait((cb) => childProcess.exec('echo out; exit 0', (e, out) => cb(e, out)))).trim(),
  'exit code and signal of a child': async () => {
    const results = [];
    for (const command of ['exit 3', 'kill -TERM $$']) {
      results.push((await once(childProcess.spawn('/bin/sh', ['-c', command]), 'exit')).slice());
    }
    return results;
  },
  'pipes to a child': async () => {
    const child = childProcess.spawn('/bin/cat');
    child.stdin.end('y'.repeat(300000));
    return (await text(child.stdout.setEncoding('utf8'))).length;
  },
  'many children': async () => {
    const all = Array.from({ length: 10 }, (_, i) =>
      childProcess.spawn('/bin/sh', ['-c', `exit ${i}`]),
    );
    return Promise.all(all.map(async (child) => (await once(child, 'exit'))[0]));
  },
  'descriptors of a child': () =>
    childProcess.execSync('ls /proc/self/fd').toString().trim().split('\n').length,
  'signals of a child': () => childProcess.execSync('grep ^Sig[BIC] /proc/self/status').toString(),
  'node as a child': async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'probe-'));
    const file = path.join(folder, 'child.js');
    fs.writeFileSync(file, 'process.on("message", (m) => { process.send(m + 1); process.exit() })');
    const child = childProcess.fork(file);
    child.send(1);
    const [[message], [code]] = await Promise.all([once(child, 'message'), once(child, 'exit')]);
    fs.rmSync(folder, { recursive: true });
    return [message, code];
  },
  'signal to itself': async () => {
    const got = once(process, 'SIGUSR2');
    process.kill(process.pid, 'SIGUSR2');
    const [name, number] = await got;
    return [name, number];
  },
});

// ---- threads ------------------------------------------------------------------------------------

const { Worker, MessageChannel, BroadcastChannel } = require('worker_threads');
const worker = (code, options) =>
  new Worker(`const w = require('worker_threads'); ${code}`, { eval: true, ...options });
Object.assign(probes, {
  worker: async () => {
    const one = worker('w.parentPort.postMessage(w.workerData * 6)', { workerData: 7 });
    // Both at once: the end of a worker hands out its last messages and "exit" in one go.
    const [[message], [code]] = await Promise.all([once(one, 'message'), once(one, 'exit')]);
    return [message, code];
  },
  'many workers': async () => {
    const code =
      'const a = []; for (let i = 0; i < 3e5; i++) a.push({ i });' +
      ' w.parentPort.postMessage([a.length, w.workerData])';
    const all = Array.from({ length: 4 }, (_, i) => worker(code, { workerData: i }));
    return Promise.all(all.map(async (one) => (await once(one, 'message'))[0]));
  },
  'worker ended': async () => {
    const one = worker('while (true);');
    await once(one, 'online');
    return one.terminate();
  },
  'worker fails': async () => {
    const [error] = await once(worker('throw new TypeError("in worker")'), 'error');
    return [error.name, error.message];
  },
  'shared memory': async () => {
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const code =
      'Atomics.wait(w.workerData, 0, 0); Atomics.add(w.workerData, 1, 5);' +
      ' w.parentPort.postMessage(0)';
    const one = worker(code, { workerData: shared });
    await once(one, 'online');
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    await once(one, 'message');
    return [...shared];
  },
  'random numbers of workers': async () => {
    const code = 'w.parentPort.postMessage([Math.random(), crypto.randomUUID()])';
    const all = await Promise.all(
      [1, 2, 3].map(async () => (await once(worker(code), 'message'))[0]),
    );
    return new Set(all.flat()).size;
  },
  channels: async () => {
    const { port1, port2 } = new MessageChannel();
    port1.postMessage({ a: new Map([[1, 2n]]) });
    const [message] = await once(port2, 'message');
    port1.close();
    const sender = new BroadcastChannel('c');
    const receiver = new BroadcastChannel('c');
    const got = new Promise((resolve) => (receiver.onmessage = (event) => resolve(event.data)));
    sender.postMessage('all');
    const data = await got;
    sender.close();
    receiver.close();
    return [String(message.a.get(1)), data];
  },
  'endless script is stopped': () => {
    try {
      return require('vm').runInNewContext('while (true);', {}, { timeout: 30 });
    } catch (error) {
      return error.code;
    }
  },
});

// ---- language, compilers, modules ---------------------------------------------------------------

const adder = new Uint8Array(
  Buffer.from(
    '0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b',
    'hex',
  ),
);
Object.assign(probes, {
  WebAssembly: async () => {
    const { instance } = await WebAssembly.instantiate(adder);
    const { add } = instance.exports;
    let sum = 0;
    for (let i = 0; i < 3e6; i++) sum = add(sum, i);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 100 });
    memory.grow(20);
    return [sum, memory.buffer.byteLength];
  },
  'hot code': () => {
    const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
    let mixed = 0;
    for (let i = 0; i < 5e6; i++) mixed = (mixed * 31 + (i % 7 === 0 ? i / 2 : i)) % 1000003;
    return [fib(27), mixed];
  },
  'deep recursion': () => {
    let depth = 0;
    const down = () => {
      depth++;
      down();
    };
    try {
      down();
      return 'no error';
    } catch (error) {
      return [error.constructor.name, error.message, depth > 5000 && depth < 100000];
    }
  },
  'import of a package': async () => (await import('node:path')).sep,
  'import of a file': async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'probe-'));
    const file = path.join(folder, 'm.mjs');
    const code = 'await new Promise(r => setTimeout(r, 5)); export default import.meta.url;';
    fs.writeFileSync(file, code);
    const { default: url } = await import(file);
    fs.rmSync(folder, { recursive: true });
    return url === `file://${file}`;
  },
  'import of data': async () => (await import('data:text/javascript,export default 42')).default,
  'require of json': () => {
    const file = path.join(os.tmpdir(), `probe-${process.pid}.json`);
    fs.writeFileSync(file, '{"a":1}');
    const value = require(file);
    fs.unlinkSync(file);
    return value;
  },
  'missing module': async () => {
    const first = await import('nowhere').catch((error) => error.code);
    try {
      return require('nowhere');
    } catch (error) {
      return [first, error.code];
    }
  },
  'source maps': () => {
    const map = { version: 3, sources: ['original.ts'], names: [], mappings: 'AAAA;AACA;AACA' };
    const data = Buffer.from(JSON.stringify(map)).toString('base64');
    const file = path.join(os.tmpdir(), `probe-map-${process.pid}.js`);
    const url = `//# sourceMappingURL=data:application/json;base64,${data}`;
    fs.writeFileSync(file, `exports.f = () =>\n  new Error('mapped').stack\n;\n${url}`);
    process.setSourceMapsEnabled(true);
    const stack = require(file).f();
    process.setSourceMapsEnabled(false);
    fs.unlinkSync(file);
    return /original\.ts:\d+/.exec(stack)?.[0] ?? stack;
  },
  'stack traces': async () => {
    const inner = async () => {
      await sleep(1);
      throw new Error('deep');
    };
    const outer = async () => inner();
    const stack = await outer().catch((error) => error.stack);
    return stack.split('\n').map((line) => line.trim().split(' ').slice(0, 3)[1]);
  },
  vm: () => {
    const vm = require('vm');
    const context = vm.createContext({ a: 2 });
    const script = new vm.Script('a * 21', { produceCachedData: true });
    const again = new vm.Script('a * 21', { cachedData: script.createCachedData() });
    return [script.runInContext(context), again.runInContext(context), again.cachedDataRejected];
  },
  'structured values': () => {
    const v8 = require('v8');
    const value = { map: new Map([[1, { a: new Date(0) }]]), big: 2n ** 70n, re: /x/gi };
    const clone = structuredClone(value);
    const again = v8.deserialize(v8.serialize(value));
    return [String(clone.big), clone.map.get(1).a.toISOString(), String(again.re)];
  },
  'web interfaces': async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue('a');
        controller.enqueue('b');
        controller.close();
      },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const form = new FormData();
    form.set('a', 'b');
    return [chunks, new URL('http://x/?q=\u00fc').href, [...form.keys()], btoa('x'),
      new TextDecoder('utf-16le').decode(new Uint8Array([97, 0]))];
  },
  'context of asynchronous calls': async () => {
    const { AsyncLocalStorage, AsyncResource } = require('async_hooks');
    const storage = new AsyncLocalStorage();
    const inner = storage.run('x', async () => {
      await sleep(2);
      await fs.promises.stat('/');
      return storage.getStore();
    });
    return [await inner, storage.getStore() ?? null, typeof AsyncResource];
  },
  'performance entries': async () => {
    const { PerformanceObserver, monitorEventLoopDelay } = require('perf_hooks');
    const seen = new Promise((resolve) => {
      new PerformanceObserver((list, observer) => {
        observer.disconnect();
        resolve(list.getEntries().map((entry) => entry.name));
      }).observe({ entryTypes: ['measure'] });
    });
    performance.mark('m');
    performance.measure('span', 'm');
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await sleep(20);
    delay.disable();
    return [await seen, delay.max > 0];
  },
  warning: async () => {
    const got = once(process, 'warning');
    const write = process.stderr.write;
    process.stderr.write = () => true;
    process.emitWarning('careful', { code: 'W1' });
    const [warning] = await got;
    process.stderr.write = write;
    return [warning.message, warning.code];
  },
});

// ---- memory -------------------------------------------------------------------------------------

Object.assign(probes, {
  'z1 collector under load': async () => {
    const cache = new Map();
    const until = Date.now() + 2000;
    let rounds = 0;
    for (; Date.now() < until; rounds++) {
      for (let i = 0; i < 20000; i++) {
        cache.set(i, { i, text: `value ${i}`, list: [i, i + 1], back: cache.get(i - 1) && null });
      }
      if (rounds % 5 === 0) await new Promise(setImmediate);
    }
    return [cache.size, rounds > 3, cache.get(77).text];
  },
  'z2 finalizers': async () => {
    let ended = 0;
    const registry = new FinalizationRegistry(() => ended++);
    for (let i = 0; i < 1000; i++) registry.register({ i }, i);
    const v8 = require('v8');
    v8.setFlagsFromString('--expose-gc');
    const collect = require('vm').runInNewContext('gc');
    v8.setFlagsFromString('--no-expose-gc');
    for (let i = 0; i < 10 && ended === 0; i++) {
      collect();
      await sleep(2);
    }
    return ended > 0;
  },
  'z3 buffers': () => {
    let total = 0;
    for (let i = 0; i < 300; i++) total += Buffer.alloc(1 << 20, i).length;
    return [total, process.memoryUsage().arrayBuffers < 300 * (1 << 20)];
  },
  'z4 a large heap': () => {
    const keep = [];
    while (process.memoryUsage().heapUsed < 520 * (1 << 20)) {
      for (let i = 0; i < 100; i++) keep.push(new Array(10000).fill(keep.length + 0.5));
    }
    const sum = keep.reduce((total, one) => total + one[9999], 0);
    return sum === (keep.length * keep.length) / 2 || sum > 0;
  },
  'z5 heap statistics': () => {
    const v8 = require('v8');
    const names = v8.getHeapSpaceStatistics().map((space) => space.space_name);
    return [names, v8.cachedDataVersionTag()];
  },
});
