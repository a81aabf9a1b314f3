import { processEnvironment } from '../../platform/config.ts';
import { createLogger } from '../../platform/logger.ts';
import { findModel, picoAmount } from '../../sandbox/price-list.ts';
import type { AdminClient } from '../admin-client.ts';
import { adminOf } from '../commands/command-kit.ts';
import type { House } from '../house.ts';
import { houseReady, startHouse } from '../house.ts';
import { EXIT } from '../run-process.ts';
import type { CallOutcome } from './drive.ts';
import { drive } from './drive.ts';
import type { PlannedCall } from './plan.ts';
import { BLOCKED_TENANT, planCalls } from './plan.ts';
import { createProgress } from './progress.ts';
import { proveDemo } from './prove.ts';
import { createRandom } from './random.ts';
import { renderResult, toJson } from './report.ts';
import type { Sabotage } from './sabotage-kinds.ts';
import { addOneCent, STATEMENT_SABOTAGE } from './sabotage-kinds.ts';
import { createSettleGate, signalSeen } from './settle-gate.ts';
import type { DemoHouse, RunningSandbox } from './setup.ts';
import { createDemoHouse, startSandboxProcess } from './setup.ts';
import { generateTrace, readTrace } from './trace.ts';

export interface DemoOptions {
  events: number;
  seed: number;
  keep: boolean;
  json: boolean;
  trace?: string;
  sabotage?: Sabotage;
}

const CONCURRENCY = 24;
/** The blocked tenant's limit is what this share of its calls will cost. */
const ALLOWED_SHARE = 0.6;
const PICO_PER_CENT = 10_000_000_000n;
const PICO_PER_MICRO = 1_000_000n;
const SABOTEUR = new URL('./sabotaged-back-office.ts', import.meta.url).pathname;

/** What the provider will charge for a call, in pico-USD, by the provider's own list. */
const plannedCost = (call: PlannedCall): bigint => {
  const provider = call.endpoint === 'anthropic.messages' ? 'anthropic' : 'openai';
  const model = findModel(provider, call.model)?.model ?? call.model;
  const uncached = call.inputTokens - call.cachedTokens - call.cacheWriteTokens;
  const meters = [
    ['input_uncached', uncached],
    ['cache_read', call.cachedTokens],
    ['cache_write_5m', call.cacheWriteTokens],
    ['output_text', call.outputTokens],
  ] as const;
  return meters.reduce(
    (sum, [meter, quantity]) =>
      quantity > 0 ? sum + picoAmount({ provider, model }, meter, quantity) : sum,
    0n,
  );
};

/**
 * A limit that the tenant's first calls reach, so that its last ones are refused: what they cost, in whole cents where that is not
 * too coarse.
 */
const limitFor = (calls: readonly PlannedCall[]): string => {
  const own = calls.filter((call) => call.tenant === BLOCKED_TENANT);
  const allowed = Math.max(1, Math.floor(own.length * ALLOWED_SHARE));
  const pico = own.slice(0, allowed).reduce((sum, call) => sum + plannedCost(call), 0n);
  const step = pico > 20n * PICO_PER_CENT ? PICO_PER_CENT : PICO_PER_MICRO;
  const text = ((pico / step) * step).toString().padStart(13, '0');
  return `${text.slice(0, -12)}.${text.slice(-12)}`.replace(/0+$/, '').replace(/\.$/, '');
};

interface Stage {
  sandbox: RunningSandbox;
  demoHouse: DemoHouse;
  house: House;
  admin: AdminClient;
  proxyUrl: string;
}

const setStage = async (
  options: DemoOptions,
  calls: readonly PlannedCall[],
  onCleanUp: (cleanUp: () => Promise<void>) => void,
): Promise<Stage> => {
  const env = processEnvironment();
  const sandbox = await startSandboxProcess();
  onCleanUp(() => sandbox.stop());
  const demoHouse = createDemoHouse(sandbox, limitFor(calls), env);
  onCleanUp(async () => demoHouse.remove());
  const house = startHouse({
    configPath: demoHouse.configPath,
    env: demoHouse.env,
    logger: createLogger('supervisor', 'warn'),
    ...(options.sabotage && options.sabotage !== STATEMENT_SABOTAGE
      ? { backOfficeModule: { module: SABOTEUR, args: [options.sabotage] } }
      : {}),
  });
  onCleanUp(() => house.stop());
  const { proxyUrl, consoleUrl } = await houseReady(house);
  const admin = adminOf({ config: demoHouse.configPath, url: consoleUrl });
  await signalSeen(proxyUrl, demoHouse.keyOf(BLOCKED_TENANT), () => true);
  return { sandbox, demoHouse, house, admin, proxyUrl };
};

const playTraffic = async (
  stage: Stage,
  calls: readonly PlannedCall[],
  quiet: boolean,
): Promise<CallOutcome[]> => {
  const outcomes: CallOutcome[] = [];
  const progress = createProgress(calls.length, quiet);
  try {
    await drive({
      calls,
      proxyUrl: () => stage.proxyUrl,
      keyOf: stage.demoHouse.keyOf,
      concurrency: CONCURRENCY,
      connectAttempts: 1,
      settled: createSettleGate({
        admin: stage.admin,
        proxyUrl: stage.proxyUrl,
        virtualKey: stage.demoHouse.keyOf(BLOCKED_TENANT),
      }),
      onOutcome: (outcome) => {
        outcomes.push(outcome);
        progress.step(outcome.status === 402);
      },
    });
  } finally {
    progress.stop();
  }
  return outcomes;
};

const stayUp = async (stage: Stage, say: (text: string) => void): Promise<void> => {
  const signalled = new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  say(
    `\nStaying up until Ctrl-C\n  console  ${stage.admin.url}   token: ${stage.demoHouse.directory}/data/bootstrap-token\n` +
      `  proxy    ${stage.proxyUrl}\n` +
      `  SQL      npx reckoner sql "select * from spend_daily" --url ${stage.admin.url} -c ${stage.demoHouse.configPath}\n`,
  );
  await signalled;
};

const runStaged = async (
  options: DemoOptions,
  onCleanUp: (cleanUp: () => Promise<void>) => void,
): Promise<number> => {
  const startedMs = performance.now();
  const say = (text: string): void =>
    void (options.json ? process.stderr : process.stdout).write(text);
  const quiet = options.json || !process.stderr.isTTY;
  const random = createRandom(options.seed);
  const trace = options.trace
    ? await readTrace(options.trace, options.events)
    : generateTrace(random, options.events);
  const calls = planCalls(random, trace);
  const stage = await setStage(options, calls, onCleanUp);
  const log = processEnvironment()['EVENT_LOG'] === 'kafka' ? 'Kafka log' : 'embedded log';
  if (!options.json) {
    say(`Reckoner demo   ${log} + embedded ClickHouse   data: ${stage.demoHouse.directory}\n`);
    say(
      `  started    sandbox provider, proxy, back office, console   ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`,
    );
  }
  if (options.sabotage === STATEMENT_SABOTAGE) await addOneCent(stage.sandbox.url);
  const trafficMs = performance.now();
  const outcomes = await playTraffic(stage, calls, quiet);
  const result = await proveDemo({
    admin: stage.admin,
    sandboxUrl: stage.sandbox.url,
    proxyUrl: stage.proxyUrl,
    keyOf: stage.demoHouse.keyOf,
    outcomes,
    trafficSeconds: (performance.now() - trafficMs) / 1000,
    startedMs,
  });
  if (options.json) process.stdout.write(`${JSON.stringify(toJson(result))}\n`);
  else say(renderResult(result));
  if (options.keep) await stayUp(stage, say);
  return result.faults.length > 0 ? EXIT.differences : EXIT.ok;
};

/**
 * `reckoner demo`: starts everything on free ports and a fresh folder, plays traffic through the real proxy against the sandbox
 * provider, and compares what we counted with what the provider charges, attempt by attempt.
 * @returns 0 when every difference is explained, 3 when one is not.
 */
export const runDemo = async (options: DemoOptions): Promise<number> => {
  const cleanUps: (() => Promise<void>)[] = [];
  try {
    return await runStaged(options, (cleanUp) => void cleanUps.push(cleanUp));
  } finally {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  }
};
