import { existsSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { kafkaMissing, startKafkaBroker } from '../helpers/kafka-broker.ts';
import { runCli } from '../helpers/run-cli.ts';

/** Goal: the demo proves what it says, on every log, and fails when one record is wrong. Method: run it as a stranger would. */
const TRACES = '../shared/traces';

interface DemoJson {
  attempts: number;
  events: number;
  endings: Record<string, number>;
  ledger_usd: string;
  sandbox_bill_usd: string;
  unexplained_usd: string;
  rollup_usd: string;
  console_usd: string;
  blocked: {
    tenant: string;
    status: number;
    signal_ms: number;
    refused: number;
    refused_in_dialect: number;
  }[];
  push: {
    planned: string;
    sent: string;
    read_back: string;
    equal: boolean;
    sent_again: number;
    chargebee_lines: number;
  };
  seconds: number;
  differences: { delta_usd: string; flagged: boolean }[];
  spend: { tenant: string; usd: string }[];
  faults: string[];
}

/** Sums decimal strings in units of 10^-18, with integers only: independent of the code under test. */
const sum = (amounts: readonly string[]): bigint =>
  amounts.reduce((total, amount) => {
    const [whole = '0', fraction = ''] = amount.replace('-', '').split('.');
    const scaled = BigInt(whole) * 10n ** 18n + BigInt(fraction.padEnd(18, '0'));
    return amount.startsWith('-') ? total - scaled : total + scaled;
  }, 0n);

const demo = async (args: readonly string[], env: Record<string, string> = {}) => {
  const run = await runCli(['demo', '--json', ...args], env);
  if (run.stdout.trim() === '') throw new Error(`the demo said nothing; stderr: ${run.stderr}`);
  return { ...run, json: JSON.parse(run.stdout) as DemoJson };
};

const expectProven = ({ code, json }: Awaited<ReturnType<typeof demo>>): void => {
  expect(json.faults).toEqual([]);
  expect(code).toBe(0);
  expect(json.events).toBe(json.attempts);
  expect(Object.values(json.endings).reduce((a, b) => a + b, 0)).toBe(json.attempts);
  expect(json.unexplained_usd).toBe('0');
  expect(json.rollup_usd).toBe(json.ledger_usd);
  expect(json.console_usd).toBe(json.ledger_usd);
  expect(sum(json.spend.map((cell) => cell.usd))).toBe(sum([json.ledger_usd]));
  // Bill - ledger is exactly what the differences named attempt by attempt add up to.
  expect(sum(json.differences.map((d) => d.delta_usd))).toBe(
    sum([json.sandbox_bill_usd]) - sum([json.ledger_usd]),
  );
  expect(json.blocked).toMatchObject([{ tenant: 'globex', status: 402 }]);
  const [blocked] = json.blocked;
  expect(blocked?.refused).toBeGreaterThan(0);
  expect(blocked?.refused_in_dialect).toBe(blocked?.refused);
  expect(json.push.equal).toBe(true);
  expect(json.push.sent).toBe(json.push.planned);
  expect(json.push.read_back).toBe(json.push.planned);
  expect(json.push.sent_again).toBe(0);
};

const moneyOf = (json: DemoJson) => ({
  attempts: json.attempts,
  ledger_usd: json.ledger_usd,
  sandbox_bill_usd: json.sandbox_bill_usd,
  spend: json.spend,
  pushed: json.push.planned,
});

describe('the demo', () => {
  test('ends with everything equal, and a seed gives the same money again', async () => {
    const first = await demo(['--events', '600', '--seed', '7']);
    expectProven(first);
    expect(first.stderr).toBe('');
    const second = await demo(['--events', '600', '--seed', '7']);
    expectProven(second);
    expect(moneyOf(second.json)).toEqual(moneyOf(first.json));
  });

  test('prints what people read when it is not asked for JSON', async () => {
    const run = await runCli(['demo', '--events', '120', '--seed', '3']);
    expect(run.code).toBe(0);
    for (const heading of [
      'WHAT HAPPENED',
      'WHAT IT COST',
      'WHEN IT STOPPED',
      'DOES THE PROVIDER AGREE?',
      'PROVEN',
    ]) {
      expect(run.stdout).toContain(heading);
    }
  });

  test.skipIf(!existsSync(TRACES)).for([
    ['azure-llm-inference-conv-2023.csv', '800'],
    ['mooncake-conversation.jsonl', '400'],
  ] as const)('holds on real traffic: %s (needs ../shared/traces)', async ([file, events]) => {
    expectProven(await demo(['--trace', `${TRACES}/${file}`, '--events', events]));
  });
});

describe('the proof can fail: a sabotaged demo ends with code 3 and names exactly the fault', () => {
  test.for([
    ['drop-event', /^missing event: the provider bills this call/],
    ['double-event', /^charged twice: two events for one call/],
    [
      'one-cent',
      /^statement of openai: \S+ input_uncached differs by 0\.01 USD that nothing explains$/,
    ],
    ['wrong-class', /^wrong class: the same tokens, counted in other classes.*cache_read/],
    ['wrong-tenant', /^wrong owner: each attempt of request .* made for acme\/.* say initech\//],
  ] as const)('%s', async ([sabotage, fault]) => {
    const { code, json } = await demo(['--events', '150', '--seed', '5', '--sabotage', sabotage]);
    expect(code).toBe(3);
    // Exactly the fault, and nobody else accused.
    expect(json.faults).toEqual([expect.stringMatching(fault)]);
  });

  test('a sabotage that does not exist is a usage error', async () => {
    const run = await runCli(['demo', '--sabotage', 'fire']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('drop-event, double-event, one-cent, wrong-class, wrong-tenant');
  });
});

describe.skipIf(kafkaMissing() !== null)('over a real Kafka broker', () => {
  test('the same seed gives the same money as embedded', async () => {
    const broker = await startKafkaBroker();
    onTestFinished(() => broker.stop());
    const env = { EVENT_LOG: 'kafka', KAFKA_BROKERS: broker.brokers.join(',') };
    const overKafka = await demo(['--events', '400', '--seed', '11'], env);
    expectProven(overKafka);
    const embedded = await demo(['--events', '400', '--seed', '11']);
    expectProven(embedded);
    expect(moneyOf(overKafka.json)).toEqual(moneyOf(embedded.json));
  });
});
