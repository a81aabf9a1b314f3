import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PriceBooks } from '../../pricing/price-books.ts';
import type { SecretReference, Upstream } from '../../schemas/control-record.ts';
import type { ProcessConfig } from '../../schemas/house-config.ts';
import type { Clock } from '../platform/clock.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import { newId } from '../platform/id-source.ts';
import type { LogOnDisk } from '../platform/log-room.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { AttemptJournal } from './attempt-journal.ts';
import { createAttemptJournal, createUnrecordedJournal } from './attempt-journal.ts';
import { createBodyRoom } from './body-room.ts';
import { followBudgetSignals } from './budget-signals.ts';
import type { Doors } from './doors.ts';
import { createDoors } from './doors.ts';
import { createFollower, DEFAULT_PACE } from './follow-operations.ts';
import type { FollowPace } from './follow-turns.ts';
import { createForwarder } from './forward.ts';
import { createPressureMetrics, createProxyMetrics } from './proxy-metrics.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { createPlaces } from './proxy-parts.ts';
import { recoverAttempts } from './recover-attempts.ts';
import { createTargetBoard } from './target-board.ts';
import { warnOfUpstreams } from './upstream-problems.ts';
import { watchPressure } from './watch-pressure.ts';

/** Everything the proxy is given; it opens nothing itself but its port. */
export interface ProxyDeps {
  config: ProcessConfig['proxy'];
  /** This process's own log, opened for writing. */
  localLog: EventLog;
  /** What it occupies and what is left for it. */
  room: LogOnDisk['room'];
  /** The group whose offsets say how much of it is kept elsewhere: `TAKEN_OVER` for readers' acknowledgements, or the shipper's. */
  takenOverBy: string;
  control: ControlStateFollower;
  /** Logs that hold `budget.signals.v1`. */
  signals: readonly EventLog[];
  /** Prices in force; asked for every attempt, so that newer ones can take their place. */
  books: () => PriceBooks;
  pepper: string;
  resolveSecret: (reference: SecretReference) => string;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  /** How often the local log is measured. */
  measureEveryMs?: number;
  /** How long a stop waits for calls in flight, in milliseconds. */
  stopTimeoutMs?: number;
  /** How often providers are asked about work that ends later; from 5 s up to 10 min where absent. */
  followPace?: FollowPace;
}

/** A running proxy. It listens before it is ready; `ready` (and `/readyz`) say when it takes calls. */
export interface RunningProxy extends RunningService {
  readonly url: string;
  readonly port: number;
  readonly ready: Promise<void>;
}

const CALLS_MAX = 8_192;
/** Connections the system may hold until they are taken: a whole fleet may come back at once. */
const CONNECTS_WAITING_MAX = 4_096;
const STOP_TIMEOUT_MS = 20_000;

const listen = (server: Server, config: ProcessConfig['proxy']): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const problem = taken ? 'is in use by another process' : `cannot be opened (${error.code})`;
      reject(
        new ReckonerError(
          'PORT_IN_USE',
          `Port ${config.port} of ${config.host} ${problem}. Set process.proxy.port to a free one.`,
        ),
      );
    });
    const { port, host } = config;
    server.listen({ port, host, backlog: CONNECTS_WAITING_MAX }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });

const createCredentials = (resolveSecret: ProxyDeps['resolveSecret']) => {
  // Keyed by the record itself: a changed record is another object, so its secret is read again.
  const known = new WeakMap<Upstream, string>();
  return (upstream: Upstream): string | null => {
    if (!upstream.credential) return null;
    const held = known.get(upstream);
    if (held !== undefined) return held;
    const secret = resolveSecret(upstream.credential);
    known.set(upstream, secret);
    return secret;
  };
};

/** What the proxy does when its log cannot take more. */
const createPressureParts = (deps: ProxyDeps, journal: AttemptJournal) => {
  const pressure = watchPressure({
    log: deps.localLog,
    room: deps.room,
    takenOverBy: deps.takenOverBy,
    marks: deps.config.pressure,
    journalHealthy: journal.healthy,
    clock: deps.clock,
    logger: deps.logger,
    ...(deps.measureEveryMs === undefined ? {} : { intervalMs: deps.measureEveryMs }),
  });
  const pressureMetrics = createPressureMetrics(deps.metrics, pressure);
  const unrecorded = createUnrecordedJournal(deps.logger, () => pressureMetrics.unmetered.inc());
  return { pressure, pressureMetrics, unrecorded };
};

const createParts = (deps: ProxyDeps, bootId: string) => {
  const state = { ready: false, stopping: false };
  const stopListeners = new Set<() => void>();
  const calls = createPlaces(CALLS_MAX);
  const drains = createPlaces(deps.config.drains_max);
  const signals = followBudgetSignals(deps.signals, deps.localLog, {
    clock: deps.clock,
    onHeard: (signal) => deps.logger.debug({ scope: signal.scope, state: signal.state }, 'signal'),
  });
  const metrics = createProxyMetrics(deps.metrics, {
    inFlight: calls.taken,
    draining: drains.taken,
    signalLag: signals.consumption.lag,
    operations: () => follower.pending(),
    oldestOperationS: () => follower.oldestAgeS(),
  });
  const journal = createAttemptJournal({
    log: deps.localLog,
    proxyId: deps.config.id,
    durability: deps.config.durability,
    whenLate: deps.config.pressure.mode === 'fail_open' ? 'resolve' : 'reject',
    logger: deps.logger,
    onAppendFailed: () => metrics.appendFailures.inc(),
  });
  const forwarder = createForwarder();
  const credentialOf = createCredentials(deps.resolveSecret);
  const follower = createFollower({
    ...deps,
    log: deps.localLog,
    journal,
    forwarder,
    credentialOf,
    bootId,
    proxyId: deps.config.id,
    metrics,
    upstreamOf: (id) => deps.control.state.upstreams.get(id),
    pace: deps.followPace ?? DEFAULT_PACE,
  });
  const parts: ProxyParts = {
    config: deps.config,
    bootId,
    control: deps.control,
    signals,
    journal,
    ...createPressureParts(deps, journal),
    follower,
    forwarder,
    targets: createTargetBoard(deps.clock, metrics),
    metrics,
    clock: deps.clock,
    logger: deps.logger,
    books: deps.books,
    pepper: deps.pepper,
    credentialOf,
    drains,
    calls,
    bodies: createBodyRoom(deps.config.bodies_bytes_max, deps.config.body_bytes_max),
    ready: () => state.ready,
    stopping: () => state.stopping,
    onShutdown: (listener) => {
      stopListeners.add(listener);
      return () => stopListeners.delete(listener);
    },
  };
  return { parts, state, stopListeners };
};

/** Stops taking calls, lets those in flight end within the bound, then ends them; every one leaves its event. */
const stop = async (
  built: ReturnType<typeof createParts>,
  { server, http2 }: Doors,
  timeoutMs: number,
): Promise<void> => {
  built.state.stopping = true;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  http2.leave();
  const idle = async (deadlineMs: number): Promise<boolean> => {
    while (built.parts.calls.taken() > 0) {
      if (built.parts.clock.monotonicMs() > deadlineMs) return false;
      await new Promise((wake) => setTimeout(wake, 10));
    }
    return true;
  };
  const { clock } = built.parts;
  if (!(await idle(clock.monotonicMs() + timeoutMs))) {
    for (const listener of [...built.stopListeners]) listener();
    await idle(clock.monotonicMs() + 5_000);
  }
  http2.close();
  server.closeAllConnections();
  await closed;
  await built.parts.follower.close();
  await built.parts.forwarder.close();
  await built.parts.signals.consumption.close();
  await built.parts.pressure.close();
};

/**
 * Starts the proxy: turns what an earlier run left open into events, then listens.
 * @throws ReckonerError PORT_IN_USE; LOG_* when the local log cannot be read or written.
 */
export const startProxy = async (deps: ProxyDeps): Promise<RunningProxy> => {
  const bootId = newId();
  const built = createParts(deps, bootId);
  const { parts, state } = built;
  const { countDeadLetters } = parts.metrics;
  const about = { bootId, clock: deps.clock, countDeadLetters };
  const recovered = await recoverAttempts(deps.localLog, parts.journal, about);
  parts.metrics.recovered.inc(recovered);
  if (recovered > 0) deps.logger.warn({ recovered }, 'attempts of an earlier run were recovered');
  await parts.pressure.measure();
  const doors = createDoors(parts, deps.metrics, deps.logger);
  const port = await listen(doors.server, deps.config);
  warnOfUpstreams(deps.control, deps.resolveSecret, deps.logger);
  const ready = Promise.all([deps.control.caughtUp, parts.signals.consumption.caughtUp]).then(
    async () => {
      state.ready = true;
      await parts.follower.start();
    },
  );
  ready.catch(() => undefined);
  const { promise: closed, resolve: markClosed } = Promise.withResolvers<void>();
  const ended = Promise.race([
    closed,
    parts.journal.broken,
    parts.signals.consumption.ended.then(() => closed),
  ]);
  ended.catch(() => undefined);
  return {
    name: 'proxy',
    url: `http://${deps.config.host}:${port}`,
    port,
    ready,
    ended,
    close: async () => {
      await stop(built, doors, deps.stopTimeoutMs ?? STOP_TIMEOUT_MS);
      markClosed();
    },
  };
};
