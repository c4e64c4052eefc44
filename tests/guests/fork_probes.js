'use strict';
// What a function can observe, one probe each: run in a guest that was started and in forked ones,
// where every answer must be the same. Answers that differ by nature (numbers of processes, times,
// random numbers) are reduced to what must hold.

const probes = require('./fork_probes_more.js');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { once } = require('events');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const scratch = () => fs.mkdtempSync(path.join(os.tmpdir(), 'probe-'));

const lines = (file) => fs.readFileSync(file, 'utf8').trim().split('\n');
const status = () =>
  Object.fromEntries(lines('/proc/self/status').map((line) => line.split(/:\s+/)));

// ---- first, before others change it: the process as it is ---------------------------------------

Object.assign(probes, {
  'a1 descriptors'() {
    const kinds = {};
    for (const fd of fs.readdirSync('/proc/self/fd')) {
      let target = '';
      try {
        target = fs.readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, '');
      } catch {
        continue; // the listing's own
      }
      const info = lines(`/proc/self/fdinfo/${fd}`).find((line) => line.startsWith('flags'));
      const kind = `${target.startsWith('/tmp') ? 'file' : target} ${info}`;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
    return kinds;
  },
  'a2 signals'() {
    const { SigBlk, SigIgn, SigCgt, ShdPnd, SigPnd } = status();
    return [SigBlk, SigIgn, SigCgt, ShdPnd, SigPnd];
  },
  'a3 threads'() {
    return fs.readdirSync('/proc/self/task').map((tid) => {
      const text = fs.readFileSync(`/proc/self/task/${tid}/status`, 'utf8');
      return [/Name:\s+(.*)/, /SigBlk:\s+(.*)/].map((re) => re.exec(text)[1]);
    });
  },
  'a4 environment': () =>
    Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_LAMBDA_LOG_S')).sort(),
  'a5 arguments': () => [process.argv.slice(2), process.execArgv, process.argv0, process.title],
  'a6 folder': () => process.cwd() === process.env.LAMBDA_TASK_ROOT,
  'a7 listeners': () => process.eventNames().map((e) => [String(e), process.listenerCount(e)]),
  'a8 globals': () => Object.getOwnPropertyNames(globalThis).sort(),
  'a9 process members'() {
    return Object.entries(Object.getOwnPropertyDescriptors(process))
      .map(([name, p]) => [name, typeof p.value, p.writable, p.enumerable, p.configurable, !!p.get])
      .sort();
  },
  'a10 resources': () => process.getActiveResourcesInfo(),
  'a11 limits': () => lines('/proc/self/limits'),
  'a12 inspector': () => String(require('inspector').url()),
  'a13 main module': () => [require.main?.filename, module.parent?.filename ?? null, module.paths],
  'a14 heap limit': () => require('v8').getHeapStatistics().heap_size_limit,
  'a15 console': () => Object.keys(console).sort(),
  'a16 Math.random is native': () => [String(Math.random), String(crypto.randomUUID).slice(0, 40)],
  'a17 awslambda': () => Object.keys(globalThis.awslambda),
  'a18 umask and ids': () => [process.umask(), process.getuid(), process.getgid()],
});

// ---- identity, time, random numbers -------------------------------------------------------------

Object.assign(probes, {
  'pid and ppid': () => [
    process.pid === Number(fs.readlinkSync('/proc/self')),
    process.ppid === Number(status().PPid),
    process.kill(process.pid, 0),
  ],
  'pid of a child': () => {
    const { stdout } = require('child_process').spawnSync('/bin/sh', ['-c', 'echo $PPID']);
    return Number(stdout.toString()) === process.pid;
  },
  'time origin': () =>
    Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000 &&
    performance.now() > 0,
  hrtime: () => {
    const a = process.hrtime.bigint();
    const b = process.hrtime.bigint();
    const [seconds] = process.hrtime();
    return b > a && Math.abs(Number(b) / 1e9 - seconds) < 2;
  },
  uptime: () => process.uptime() > 0 && process.uptime() < 600,
  'random numbers spread': () => {
    const seen = new Set();
    for (let i = 0; i < 5000; i++) seen.add(Math.random());
    const mean = [...seen].reduce((a, b) => a + b) / seen.size;
    return [seen.size, Math.abs(mean - 0.5) < 0.05, Math.min(...seen) >= 0, Math.max(...seen) < 1];
  },
  'time zone': () => {
    const before = new Date(0).toString();
    process.env.TZ = 'America/New_York';
    const changed = new Date(0).toString();
    process.env.TZ = ':UTC';
    return [before, changed, new Date(0).toString()];
  },
  'cpu and memory use': () => [
    process.cpuUsage().user >= 0,
    process.memoryUsage().rss > 1e6,
    process.memoryUsage().heapUsed > 1e6,
    process.resourceUsage().maxRSS > 1000,
  ],
  locale: () => [
    new Intl.NumberFormat().resolvedOptions().locale,
    new Intl.DateTimeFormat('de').format(new Date(0)),
    [..."ab\u00e4z"].sort(new Intl.Collator('sv').compare),
  ],
});

// ---- timers and order ---------------------------------------------------------------------------

Object.assign(probes, {
  'order of callbacks': async () => {
    const order = [];
    await new Promise((done) => {
      setTimeout(() => order.push('timeout'), 0);
      setImmediate(() => {
        order.push('immediate');
        setTimeout(done, 5);
      });
      process.nextTick(() => order.push('tick'));
      queueMicrotask(() => order.push('microtask'));
      Promise.resolve().then(() => order.push('promise'));
      order.push('now');
    });
    return [order.slice(0, 4), order.slice(4).sort()];
  },
  'order of timers': async () => {
    const order = [];
    for (const ms of [30, 10, 20, 5]) setTimeout(() => order.push(ms), ms);
    const interval = setInterval(() => order.push('i'), 12);
    await sleep(45);
    clearInterval(interval);
    return order.filter((x) => x !== 'i').concat(order.includes('i'));
  },
  'timers/promises': async () => {
    const timers = require('timers/promises');
    const values = [];
    for await (const value of timers.setInterval(2, 'v')) {
      values.push(value);
      if (values.length === 3) break;
    }
    return [await timers.setTimeout(2, 'a'), await timers.setImmediate('b'), values];
  },
  'a timer is not early': async () => {
    const start = performance.now();
    await sleep(50);
    return performance.now() - start > 48;
  },
  'refresh and unref': async () => {
    let count = 0;
    const timer = setTimeout(() => count++, 10);
    timer.refresh().unref();
    await sleep(30);
    return [count, timer.hasRef()];
  },
  'abort by time': async () => {
    const signal = AbortSignal.timeout(5);
    await once(signal, 'abort');
    return signal.reason.name;
  },
});

// ---- files --------------------------------------------------------------------------------------

Object.assign(probes, {
  'fs promises': async () => {
    const folder = scratch();
    const file = path.join(folder, 'a');
    await fs.promises.writeFile(file, 'text');
    await fs.promises.appendFile(file, ' more');
    const handle = await fs.promises.open(file);
    const { size } = await handle.stat();
    const read = await handle.readFile('utf8');
    await handle.close();
    const names = await fs.promises.readdir(folder);
    await fs.promises.rm(folder, { recursive: true });
    return [size, read, names, fs.existsSync(folder)];
  },
  'many at once': async () => {
    const all = await Promise.all(
      Array.from({ length: 200 }, () => fs.promises.readFile(__filename, 'utf8')),
    );
    return new Set(all).size;
  },
  'file streams': async () => {
    const { pipeline } = require('stream/promises');
    const folder = scratch();
    const zlib = require('zlib');
    const big = Buffer.alloc(300000, 'abc');
    fs.writeFileSync(path.join(folder, 'in'), big);
    await pipeline(
      fs.createReadStream(path.join(folder, 'in')),
      zlib.createGzip(),
      zlib.createGunzip(),
      fs.createWriteStream(path.join(folder, 'out')),
    );
    const same = fs.readFileSync(path.join(folder, 'out')).equals(big);
    fs.rmSync(folder, { recursive: true });
    return same;
  },
  'fs watch': async () => {
    const folder = scratch();
    const watcher = fs.watch(folder);
    const event = once(watcher, 'change');
    setTimeout(() => fs.writeFileSync(path.join(folder, 'x'), ''), 10);
    const [, name] = await event;
    watcher.close();
    fs.rmSync(folder, { recursive: true });
    return name;
  },
  'errors of fs': async () => {
    const codes = [];
    for (const action of [
      () => fs.readFileSync('/nowhere'),
      () => fs.promises.readFile('/nowhere'),
      () => fs.promises.mkdir('/proc/x'),
    ]) {
      try {
        await action();
      } catch (error) {
        codes.push([error.code, error.syscall, error.message]);
      }
    }
    return codes;
  },
});

// ---- what the init code made --------------------------------------------------------------------

const kept = {
  map: new Map([['a', { b: 1 }]]),
  key: crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign']),
  reader: fs.openSync('/bin/sh'),
  file: fs.promises.readFile(__filename, 'utf8'),
  storage: new (require('async_hooks').AsyncLocalStorage)(),
  child: require('child_process').execFileSync('/bin/echo', ['init']).toString(),
  random: [Math.random(), crypto.randomUUID(), require('crypto').randomInt(1e9)],
  zipped: require('zlib').gzipSync('text'),
  never: new Promise(() => {}),
};
fs.readSync(kept.reader, Buffer.alloc(10), 0, 10, null);

Object.assign(probes, {
  'init: values': () => [kept.map.get('a'), kept.child, kept.zipped.length],
  'init: a key': async () => (await crypto.subtle.sign('HMAC', await kept.key, Buffer.from('x')))
    .byteLength,
  'init: position of a file': () => {
    const buffer = Buffer.alloc(10);
    fs.readSync(kept.reader, buffer, 0, 10, null);
    return buffer.toString('hex');
  },
  'init: a promise': async () => (await kept.file).length,
  'init: storage': () => kept.storage.run(5, () => kept.storage.getStore()),
  'init: random numbers go on': () =>
    Math.random() !== kept.random[0] && crypto.randomUUID() !== kept.random[1],
});

exports.handler = async (name) => {
  if (name === 'names') return Object.keys(probes).sort();
  if (name === 'random') {
    const { randomInt, randomBytes } = require('crypto');
    return [Math.random(), crypto.randomUUID(), randomInt(2 ** 40), randomBytes(8).toString('hex')];
  }
  const timeout = sleep(15000).then(() => 'TIMEOUT');
  return Promise.race([probes[name](), timeout]);
};
