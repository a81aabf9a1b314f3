import colors from 'picocolors';
import { addAmounts, compareAmounts, roundHalfEven, scaledAmount } from '../../../pricing/money.ts';
import { FEATURES, TENANTS } from './plan.ts';
import type { DemoResult } from './result.ts';

/** The object of `demo --json`: the public names first, then what backs them. */
export const toJson = (result: DemoResult): object => ({
  attempts: result.attempts,
  events: result.events,
  endings: result.endings,
  ledger_usd: result.ledger_usd,
  sandbox_bill_usd: result.sandbox_bill_usd,
  unexplained_usd: result.unexplained_usd,
  rollup_usd: result.rollup_usd,
  console_usd: result.console_usd,
  blocked: result.blocked,
  push: result.push,
  seconds: result.seconds,
  requests: result.requests,
  requests_per_second: result.requests_per_second,
  explained_usd: result.explained_usd,
  differences: result.differences,
  spend: result.spend,
  reconciliation: result.reports,
  faults: result.faults,
  traces: result.traces,
});

const grouped = (whole: string): string => whole.replace(/\B(?=(\d{3})+$)/g, ',');

/** Exactly so many places for the eye; the JSON has every digit. */
const usd = (amount: string, places: number): string => {
  const [whole = '0', fraction = ''] = roundHalfEven(amount, places).split('.');
  const sign = whole.startsWith('-') ? '-' : '';
  return `${sign}${grouped(whole.replace('-', ''))}.${fraction.padEnd(places, '0')}`;
};

const number = (value: number): string => grouped(String(value));
const heading = (text: string, right = ''): string =>
  `\n${colors.bold(text)}${right === '' ? '' : colors.dim(right.padStart(98 - text.length))}`;

const happened = (result: DemoResult): string[] => {
  const refused = result.blocked.reduce((sum, entry) => sum + entry.refused, 0);
  const retries = result.attempts - (result.requests - refused);
  const endings = Object.entries(result.endings).map(([name, n]) => `${name} ${number(n)}`);
  return [
    heading('WHAT HAPPENED') +
      `   ${number(result.requests)} requests - ${number(refused)} refused + ${number(retries)} retries = ${number(result.attempts)} attempts   ${number(result.requests_per_second)} req/s`,
    `  ${endings.join('   ')}${result.endings['unknown'] ? '' : '   unknown 0'}`,
    colors.dim(
      '  drained: the client left, we read on   partial, estimated: cut off by the provider, not stated in full',
    ),
  ];
};

const bar = (spent: string, limit: string): string => {
  const whole = scaledAmount(limit);
  const tenths = whole === 0n ? 10n : (scaledAmount(spent) * 10n) / whole;
  const filled = tenths > 10n ? 10 : Number(tenths);
  return `${'█'.repeat(filled)}${'░'.repeat(10 - filled)}`;
};

const costRow = (result: DemoResult, tenant: string): string => {
  const cells = FEATURES.map(
    (feature) =>
      result.spend.find((cell) => cell.tenant === tenant && cell.feature === feature)?.usd ?? '0',
  );
  const cached = result.cachedPercent.get(tenant);
  const blocked = result.blocked.find((entry) => entry.tenant === tenant);
  const budget = blocked
    ? `${bar(blocked.spent_usd, blocked.limit_usd)}  at ${blocked.at.slice(11, 23)}`
    : '-';
  return [
    `  ${tenant.padEnd(10)}`,
    ...cells.map((cell) => usd(cell, 4).padStart(11)),
    usd(addAmounts(cells), 4).padStart(12),
    `${cached == null ? '-' : `${cached} %`}`.padStart(8),
    `   ${budget}`,
  ].join('');
};

const costs = (result: DemoResult): string[] => [
  heading('WHAT IT COST', 'USD'),
  colors.dim(
    `  ${'tenant'.padEnd(10)}${FEATURES.map((f) => f.padStart(11)).join('')}${'total'.padStart(12)}${'cached'.padStart(8)}   budget`,
  ),
  ...TENANTS.map((tenant) => costRow(result, tenant)),
];

const stopped = (result: DemoResult): string[] =>
  result.blocked.flatMap((entry) => [
    heading('WHEN IT STOPPED'),
    `  ${entry.tenant} crossed ${entry.limit_usd} USD; signal v${entry.version} reached the proxy after ${entry.signal_ms} ms`,
    `  ${number(entry.refused)} calls refused with ${entry.status} in the caller's dialect`,
    `  spent at stop ${usd(entry.spent_usd, 6)}, overshoot ${usd(entry.overshoot_usd, 6)}`,
  ]);

const agreeRow = (name: string, meter: string, amounts: readonly string[], note: string): string =>
  `  ${name.padEnd(27)}${meter.padEnd(15)}${amounts.map((a) => usd(a, 6).padStart(12)).join('')}  ${note}`;

const noteOf = (cell: DemoResult['reports'][number]['cells'][number]): string => {
  if (compareAmounts(cell.delta_usd, '0') === 0) return colors.green('✓');
  if (compareAmounts(cell.unexplained_usd, '0') !== 0) return colors.red('✗ unexplained');
  return cell.causes.map((cause) => `${cause.class} ×${cause.count}`).join(', ');
};

const agreement = (result: DemoResult): string[] => {
  const cells = result.reports.flatMap((report) => report.cells);
  const causes = result.reports
    .flatMap((report) => report.causes)
    .map((cause) => `  ${cause.class}: ${cause.count} ${cause.text}`);
  return [
    heading('DOES THE PROVIDER AGREE?', 'USD'),
    colors.dim(
      `  ${'model'.padEnd(27)}${'meter'.padEnd(15)}${['ours', 'theirs', 'delta'].map((c) => c.padStart(12)).join('')}`,
    ),
    ...cells.map((cell) =>
      agreeRow(
        cell.model,
        cell.meter,
        [cell.ledger_usd, cell.statement_usd, cell.delta_usd],
        noteOf(cell),
      ),
    ),
    colors.bold(
      agreeRow(
        'total',
        '',
        [
          result.ledger_usd,
          result.sandbox_bill_usd,
          addAmounts(result.reports.map((r) => r.delta_usd)),
        ],
        '',
      ),
    ),
    ...causes.map((line) => colors.dim(line)),
    `  explained ${usd(result.explained_usd, 6)}, call by call   unexplained ${usd(result.unexplained_usd, 6)}`,
  ];
};

const billed = (result: DemoResult): string[] => [
  heading('WHAT WE BILLED'),
  `  sandbox Stripe, meter llm_cost_micros: ${result.push.customers} customers, ${grouped(result.push.sent)} units sent, ${grouped(result.push.read_back)} read back`,
  `  a second push sent ${result.push.sent_again}; Chargebee would get ${result.push.chargebee_lines} lines (dry run)`,
];

const verdict = (result: DemoResult): string[] => {
  if (result.faults.length > 0) {
    return [
      heading(
        colors.red(
          `THE PROOF FAILED: ${result.faults.length} ${result.faults.length === 1 ? 'fault' : 'faults'}`,
        ),
      ),
      ...result.faults.map((fault) => `  ${colors.red('✗')} ${fault}`),
      ...result.traces.map((trace) => colors.dim(`      shows in: ${trace}`)),
    ];
  }
  return [
    `${heading(colors.green('PROVEN'))}   in ${result.seconds} s`,
    `  events = attempts; ledger = rollup = console = ${usd(result.ledger_usd, 6)} USD`,
    '  every difference to the bill is explained call by call; what was pushed is held',
  ];
};

/** What a person reads at the end of a demo; every number is of this run. */
export const renderResult = (result: DemoResult): string =>
  `${[
    ...happened(result),
    ...costs(result),
    ...stopped(result),
    ...agreement(result),
    ...billed(result),
    ...verdict(result),
    '',
    'Look around: npm run demo -- --keep   Your own traffic: README, step 3',
  ].join('\n')}\n`;
