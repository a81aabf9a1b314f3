import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A running broker of a test's own, or the one the environment names. */
export interface KafkaBroker {
  readonly brokers: string[];
  /** Ends it cleanly and removes its data. */
  stop(): Promise<void>;
  /** Ends it the hard way; the data stays. */
  kill9(): Promise<void>;
  /** Starts it again on the same data and the same port, after `kill9`. */
  restart(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const POM = fileURLToPath(new URL('./kafka/pom.xml', import.meta.url));
const DEFAULT_VERSION = '4.3.0';
const READY_TIMEOUT_MS = 100_000;
/** Small and quick to start; the broker shares two cores with its tests. */
const JAVA_FLAGS = [
  '-Xms128m',
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:-UsePerfData',
  '-Djava.awt.headless=true',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
];

const answers = (program: string): boolean =>
  spawnSync(program, ['-version'], { stdio: 'ignore' }).status === 0;

let missing: string | null | undefined;

/**
 * Why no broker can be had here, or null when one can. A suite prints the reason and counts as skipped.
 * @throws in CI, where a missing broker is a failure.
 */
export const kafkaMissing = (): string | null => {
  if (missing === undefined) {
    const lacking = process.env['KAFKA_BROKERS']
      ? []
      : ['java', 'mvn'].filter((program) => !answers(program));
    missing =
      lacking.length === 0
        ? null
        : `no Kafka broker: ${lacking.join(' and ')} not found and KAFKA_BROKERS is not set`;
    if (missing !== null) console.warn(`skipped: ${missing}`);
  }
  if (missing !== null && process.env['CI']) throw new Error(`${missing}; CI needs one`);
  return missing;
};

const run = async (command: string, args: string[], cwd: string): Promise<string> => {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let all = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    all += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    all += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}: ${all.slice(-2_000)}`);
  return stdout;
};

/** The broker's jars by Maven, once per version: fetched into a folder of our own, then renamed, so that a half download is never used. */
const fetchJars = async (version: string): Promise<string> => {
  const home = join(ROOT, '.cache', `kafka-${version}`);
  if (existsSync(home)) return join(home, 'libs');
  await mkdir(join(ROOT, '.cache'), { recursive: true });
  const temporary = await mkdtemp(join(ROOT, '.cache', `kafka-${version}-`));
  await cp(POM, join(temporary, 'pom.xml'));
  const args = [
    'dependency:copy-dependencies',
    '-q',
    '-B',
    `-Dkafka.version=${version}`,
    `-DoutputDirectory=${join(temporary, 'libs')}`,
    '-DincludeScope=runtime',
  ];
  await run('mvn', args, temporary);
  try {
    await rename(temporary, home);
  } catch (error) {
    // Another suite was quicker; its jars are the same.
    await rm(temporary, { recursive: true });
    if (!existsSync(home)) throw error;
  }
  return join(home, 'libs');
};

/** Ports nobody listens on now. All are held at once, so that they differ. */
const freePorts = async (count: number): Promise<number[]> => {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server, 'listening');
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      return address.port;
    }),
  );
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
};

interface Ports {
  port: number;
  controllerPort: number;
  advertisedPort: number;
}

const settings = ({ port, controllerPort, advertisedPort }: Ports, dataDir: string): string =>
  [
    'process.roles=broker,controller',
    'node.id=1',
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${advertisedPort}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name=PLAINTEXT',
    'controller.listener.names=CONTROLLER',
    `controller.quorum.bootstrap.servers=127.0.0.1:${controllerPort}`,
    `log.dirs=${dataDir}`,
    'num.network.threads=2',
    'num.io.threads=2',
    'offsets.topic.num.partitions=1',
    'offsets.topic.replication.factor=1',
    'transaction.state.log.num.partitions=1',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'share.coordinator.state.topic.num.partitions=1',
    'share.coordinator.state.topic.replication.factor=1',
    'share.coordinator.state.topic.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    'auto.create.topics.enable=false',
    'log.cleaner.dedupe.buffer.size=4194304',
    '',
  ].join('\n');

/** Asks for metadata (version 4, no topics): a broker that names itself is registered and open for work, an open port is not. */
const answersMetadata = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = Buffer.from(
      '00000013' + '0003' + '0004' + '00000001' + '0004' + '74657374' + '00000000' + '00',
      'hex',
    );
    const socket = connect({ host: '127.0.0.1', port });
    let answer = Buffer.alloc(0);
    const finish = (ready: boolean): void => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('connect', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      // length, correlation id, throttle time, number of brokers: four 32-bit integers.
      if (answer.length >= 16) finish(answer.readInt32BE(12) > 0);
    });
  });

const waitReady = async (child: ChildProcess, port: number, logFile: string): Promise<void> => {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await answersMetadata(port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      const log = await readFile(logFile, 'utf8');
      throw new Error(`The Kafka broker did not become ready: ${log.slice(-2_000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
};

const external = (list: string): KafkaBroker => {
  const refuse = async (): Promise<never> => {
    throw new Error('The broker named by KAFKA_BROKERS is not ours to kill');
  };
  return { brokers: list.split(','), stop: async () => {}, kill9: refuse, restart: refuse };
};

/** Whether tests may kill the broker: not the one the environment names. */
export const ownsBroker = (): boolean => !process.env['KAFKA_BROKERS'];

/**
 * Starts one KRaft broker on free ports with data in the temporary folder, and waits until it answers. It sends clients to
 * `advertisedPort` where given: a proxy that plays a bad network.
 */
export const startKafkaBroker = async (
  options: { version?: string; advertisedPort?: number } = {},
): Promise<KafkaBroker> => {
  const named = process.env['KAFKA_BROKERS'];
  if (named) return external(named);
  const libs = await fetchJars(options.version ?? DEFAULT_VERSION);
  const home = await mkdtemp(join(tmpdir(), 'reckoner-kafka-'));
  const [port = 0, controllerPort = 0] = await freePorts(2);
  const ports = { port, controllerPort, advertisedPort: options.advertisedPort ?? port };
  const config = join(home, 'server.properties');
  const logFile = join(home, 'broker.log');
  const java = [...JAVA_FLAGS, '-cp', join(libs, '*')];
  await writeFile(config, settings(ports, join(home, 'data')));
  const printed = await run('java', [...java, 'kafka.tools.StorageTool', 'random-uuid'], home);
  const id = printed.trim().split('\n').at(-1) ?? '';
  const format = ['kafka.tools.StorageTool', 'format', '--standalone', '-t', id, '-c', config];
  await run('java', [...java, ...format], home);

  const start = async (): Promise<ChildProcess> => {
    const log = openSync(logFile, 'a');
    const process_ = spawn('java', [...java, 'kafka.Kafka', config], {
      cwd: home,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    await waitReady(process_, port, logFile);
    return process_;
  };
  let child = await start();
  const killOnExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killOnExit);
  return {
    brokers: [`127.0.0.1:${port}`],
    stop: async () => {
      process.off('exit', killOnExit);
      await end(child, 'SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
    kill9: () => end(child, 'SIGKILL'),
    restart: async () => {
      await end(child, 'SIGKILL');
      child = await start();
    },
  };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const broker = await startKafkaBroker();
  process.stdout.write(`KAFKA_BROKERS=${broker.brokers.join(',')}\n`);
  const stop = (): void => void broker.stop().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}
