// The programs under test: `sekisho rewrite` and a running sekisho-track, with a configuration and keys of their own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HOST } from './readers.mjs';

const free_port = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

export class Gate {
  async open(sekisho) {
    this.sekisho = sekisho;
    this.dir = mkdtempSync(join(tmpdir(), 'sekisho-differential.'));
    this.config = join(this.dir, 'sekisho.yaml');
    this.port = await free_port();
    writeFileSync(this.config, `relay_log: {key_file: none, dir: ${this.dir}/log}
state_dir: ${this.dir}
tracking: {key_file: ${this.dir}/tracking.key, listen: "127.0.0.1:${this.port}"}
tenants:
  acme: {match: [{auth: acme}], tracking: {host: ${HOST}, opens: true, clicks: true}}
  texts: {match: [{auth: texts}], tracking: {host: ${HOST}, clicks: true, text_links: true}}
`);
    this.run(['key', 'rotate']);
    this.track = spawn(join(dirname(sekisho), 'sekisho-track'), ['-c', this.config, '-f'], { stdio: 'ignore' });
    this.agent = new http.Agent({ maxSockets: 8 });
    for (let tries = 0; tries < 100 && !(await this.ask('/robots.txt')); tries++)
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    return this;
  }

  async close() {
    this.agent?.destroy();
    if (this.track?.kill()) await new Promise((resolve) => { this.track.on('exit', resolve); });
    rmSync(this.dir, { recursive: true });
  }

  run(args, input = '') {
    const done = spawnSync(this.sekisho, ['-c', this.config, ...args], { input, maxBuffer: 1 << 28 });
    if (done.status === null || done.status > 1) throw new Error(`sekisho ${args.join(' ')}: ${done.stderr}`);
    return done;
  }

  // The message as it leaves, and why parts were left alone.
  rewrite(raw, tenant = 'acme') {
    const done = this.run(['rewrite', '--tenant', tenant, '--report'], raw);
    return { out: done.stdout, whys: [...done.stderr.toString().matchAll(/left alone: (.*)/g)].map(([, why]) => why) };
  }

  // An answer of the endpoint; null: nobody answers.
  ask(path) {
    return new Promise((resolve) => {
      const headers = { Host: HOST, 'User-Agent': 'Mozilla/5.0 (differential)' };
      http.get({ host: '127.0.0.1', port: this.port, path, headers, agent: this.agent }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve({ status: answer.statusCode, location: answer.headers.location }));
      }).on('error', () => resolve(null));
    });
  }
}
