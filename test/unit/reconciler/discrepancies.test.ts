import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addAmounts, negateAmount } from '../../../pricing/money.ts';
import { CAUSES } from '../../../services/reconciler/core/causes.ts';
import { meaningOfOwnLine } from '../../../services/reconciler/core/own-lines.ts';
import { renderReport } from '../../../services/reconciler/core/report.ts';
import { COMBINED, MONTHS } from './discrepancy-months.ts';
import type { Month } from './discrepancy-rig.ts';
import { MODEL, reportOf } from './discrepancy-rig.ts';

const causesOf = (month: Month) =>
  reportOf(month).causes.map((cause) => [
    cause.class,
    cause.amount_usd,
    cause.explained ? 'accepted' : 'to decide',
  ]);

const addsUp = (month: Month): void => {
  const report = reportOf(month);
  for (const part of [report, ...report.cells]) {
    expect(addAmounts(part.causes.map((cause) => cause.amount_usd))).toBe(part.delta_usd);
    expect(addAmounts([part.explained_usd, part.unexplained_usd])).toBe(part.delta_usd);
    expect(addAmounts([part.statement_usd, negateAmount(part.ledger_usd)])).toBe(part.delta_usd);
  }
};

describe('case 95 · a month for each cause, and the cause is named with its exact amount', () => {
  it.each(CAUSES)('case 95 · %s', (name) => {
    expect(causesOf(MONTHS[name])).toEqual(MONTHS[name].causes);
    addsUp(MONTHS[name]);
  });

  it('case 95 · everything at once: every cent of the month has a name', () => {
    expect(causesOf(COMBINED)).toEqual(COMBINED.causes);
    addsUp(COMBINED);
    expect(
      reportOf(COMBINED).cells.flatMap((cell) => cell.causes.map((c) => c.class)),
    ).not.toContain('unexplained');
  });

  it('case 95 · the guide for people has a chapter for each cause, in the same order, and no other', () => {
    const guide = readFileSync('services/reconciler/discrepancies.md', 'utf8');
    const chapters = [...guide.matchAll(/^## `([a-z_]+)`/gm)].map(([, name]) => name);
    expect(chapters).toEqual([...CAUSES]);
    expect(Object.keys(MONTHS).sort()).toEqual([...CAUSES].sort());
    const readme = readFileSync('services/reconciler/README.md', 'utf8');
    expect(readme).toContain('(discrepancies.md)');
    for (const name of CAUSES) expect(readme).toContain(`\`${name}\``);
  });

  it('the report says what is accepted, what is not, and how each is known', () => {
    const text = renderReport(reportOf(COMBINED));
    expect(text).toContain(
      '  tier        to decide   tokens billed at the price of another service tier',
    );
    expect(text).toMatch(/time_zone {3}accepted .* \+0\.00300\n/);
    expect(text).toContain(
      "  time_zone   The statement's days are those of America/Los_Angeles: 4 daily figures inside the month agree so and not in UTC.\n",
    );
  });
});

/** A line of a statement as it stands, with another amount. */
const tampered = (month: Month, item: string, from: string, to: string): Month => {
  const lines = month.statement.split('\n');
  const at = lines.findIndex((text) => text.includes(item) && text.includes(from));
  expect(at).toBeGreaterThan(0);
  lines[at] = (lines[at] ?? '').replace(from, to);
  return { ...month, statement: lines.join('\n') };
};

describe('case 95 · no cause eats a fault', () => {
  it('a tier beside a tampered line: both show, each with its amount', () => {
    // 0.0000031 more on the batch output: that line and the standard one are no longer off by the same count.
    const month = tampered(
      MONTHS.tier,
      'batch | gpt-5-mini-2025-08-07, output',
      '0.000200',
      '0.0002031',
    );
    // Input is moved as before: 700 x 0.000001. Output: 0.0003 + 0.0000031.
    expect(causesOf(month)).toEqual([
      ['tier', '0.0007', 'to decide'],
      ['unexplained', '0.0003031', 'to decide'],
    ]);
  });

  it('one token of difference between the two lines, and nothing was moved', () => {
    const month = tampered(MONTHS.cache, 'input', '0.002600', '0.002602');
    expect(causesOf(month)).toEqual([['unexplained', '0.000542', 'to decide']]);
  });

  it('fewer tokens on one line alone are no move', () => {
    const month = tampered(MONTHS.cache, 'input', '0.002600', '0.002000');
    expect(causesOf(month)).toEqual([['unexplained', '-0.00006', 'to decide']]);
  });

  it('a cached line at the price of uncached input is named only where all other lines agree', () => {
    const calls = [
      {
        at: '2026-11-03T12:00:00.000Z',
        use: { input_uncached: '1000', cache_read: '800', output_text: '100' },
      },
    ];
    // 800 x 0.000002 instead of 800 x 0.0000002: 0.00144 more.
    const month: Month = {
      ...MONTHS.cache,
      calls,
      statement: MONTHS.cache.statement
        .replace('0.002600000000', '0.002000000000')
        .replace('0.000100000000', '0.001600000000'),
    };
    expect(causesOf(month)).toEqual([['cache', '0.00144', 'to decide']]);
    // Half the calls twice would show in the output as well.
    expect(causesOf(tampered(month, 'output', '0.001000', '0.001100'))).toEqual([
      ['unexplained', '0.00154', 'to decide'],
    ]);
  });

  it('usage missing at the edge of the month is no time zone while the days inside are those of UTC', () => {
    const month: Month = {
      ...MONTHS.time_zone,
      calls: [
        { at: '2026-11-01T05:00:00.000Z', use: { output_text: '100' } },
        { at: '2026-11-10T05:00:00.000Z', use: { output_text: '300' } },
        { at: '2026-11-20T05:00:00.000Z', use: { output_text: '300' } },
      ],
      statement: MONTHS.time_zone.statement
        .split('\n')
        .filter((text) => !text.includes('input') && !text.includes('2026-11-03'))
        .map((text) => text.replace('2026-11-30', '2026-11-20').replace('0.002000', '0.003000'))
        .join('\n'),
    };
    expect(causesOf(month)).toEqual([['unexplained', '-0.001', 'to decide']]);
  });

  it('a fault inside a month of another zone is left over, to the last digit', () => {
    const month = tampered(MONTHS.time_zone, '2026-11-30', '0.002000', '0.002007');
    expect(causesOf(month)).toEqual([
      ['time_zone', '0.003', 'accepted'],
      ['unexplained', '0.000007', 'to decide'],
    ]);
  });

  it('a call of the month beside is that call only where every figure is the same', () => {
    const month = (output: string): Month => ({
      ...MONTHS.missing_calls,
      calls: [
        {
          at: '2026-10-31T23:59:00.000Z',
          id: 'r9',
          use: { input_uncached: '10000', output_text: output },
        },
        {
          at: '2026-11-03T12:00:00.000Z',
          id: 'r1',
          use: { input_uncached: '1000', output_text: '100' },
        },
      ],
    });
    expect(causesOf(month('1000'))).toEqual([['time_zone', '0.03', 'accepted']]);
    expect(causesOf(month('1001'))).toEqual([['missing_calls', '0.03', 'to decide']]);
  });

  it('free searches are named only for exactly what they are worth', () => {
    const month = tampered(MONTHS.credit, 'web search', '0.020000', '0.030000');
    expect(causesOf(month)).toEqual([
      ['credit', '-0.25', 'accepted'],
      ['unexplained', '-0.09', 'to decide'],
    ]);
  });

  it('two faults do not cancel, whatever else is named', () => {
    const month = tampered(
      tampered(COMBINED, 'gpt-5-nano-2025-08-07, output', '0.001000', '0.001013'),
      'web search',
      '0.020000',
      '0.019987',
    );
    const report = reportOf(month);
    expect(report.within_tolerance).toBe(false);
    const unnamed = report.cells.flatMap((cell) =>
      cell.causes.filter((cause) => cause.class === 'unexplained').map((cause) => cause.amount_usd),
    );
    // The searches are worth 0.1 no more: all of their line is open.
    expect(unnamed.sort()).toEqual(['-0.100013', '0.000013']);
  });

  it.each([
    ['Sales tax 9%', 1, 'tax', true],
    ['VAT', 1, 'tax', true],
    ['Platform fee 5.5 %', 1, 'tax', true],
    ['Tax credit', -1, 'credit', true],
    ['Promotional credit', -1, 'credit', true],
    ['taxonomy-model, something', 1, null, null],
    ['syntax checks', 1, null, null],
    ['coffee machine', 1, null, null],
    // Bought, not given back.
    ['Credit purchase', 1, null, null],
    ['Free tier', 1, null, null],
    // It gives back and does not say why: named, and somebody must look.
    ['adjusted', -1, 'credit', false],
  ])('the text %j with sign %i is %s, accepted: %s', (description, sign, name, accepted) => {
    const own = meaningOfOwnLine({ isMapped: false, isNegative: sign < 0, description });
    expect([own?.class ?? null, own?.explained ?? null]).toEqual([name, accepted]);
  });

  it('a negative line for usage is named, and not accepted', () => {
    const month: Month = {
      ...MONTHS.tax,
      statement: MONTHS.tax.statement
        .replace('Sales tax 9%', `"${MODEL}, output"`)
        .replace('0.000270', '-0.000270'),
    };
    expect(causesOf(month)).toEqual([['credit', '-0.00027', 'to decide']]);
  });
});
