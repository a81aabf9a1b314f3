import { describe, expect, it } from 'vitest';
import { renderReport } from '../../../services/reconciler/core/report.ts';
import { charge, flagged, item, line, MODEL, ofCalls } from './report-inputs.ts';

describe('causes call by call', () => {
  it('agrees', () => {
    const result = ofCalls([charge('r1', 'output_text')], [item('r1', 'output_text')]);
    expect(result.attempts).toEqual({ matched: 1, faults: 0, differences: [] });
    expect(result).toMatchObject({ delta_usd: '0', within_tolerance: true });
  });

  it('names a call they bill and we have no event of', () => {
    const result = ofCalls(
      [charge('r1', 'output_text')],
      [item('r1', 'output_text'), item('r2', 'output_text'), item('r2', 'input_uncached')],
    );
    expect(result.attempts).toMatchObject({
      faults: 1,
      differences: [
        { kind: 'missing_event', flagged: false, provider_request_id: 'r2', delta_usd: '0.2' },
      ],
    });
    expect(result.attempts?.differences[0]).not.toHaveProperty('attempt_id');
    expect(result).toMatchObject({ delta_usd: '0.2', unexplained_usd: '0.2', explained_usd: '0' });
  });

  it('does not let a call they invent cancel one they leave out', () => {
    // Of one meter: +0.1 for r2, which we never saw, and -0.1 for r1, which they do not bill.
    const result = ofCalls([charge('r1', 'output_text')], [item('r2', 'output_text')]);
    expect(result.attempts).toMatchObject({ faults: 2 });
    expect(result).toMatchObject({
      delta_usd: '0',
      unexplained_usd: '0',
      unexplained_abs_usd: '0.2',
      within_tolerance: false,
    });
  });

  it('does not let two calls with faults of one name cancel', () => {
    // r1 is 0.05 too much, r2 0.05 too little.
    const result = ofCalls(
      [charge('r1', 'output_text'), charge('r2', 'output_text')],
      [
        item('r1', 'output_text', { quantity: '15', amount_usd: '0.15' }),
        item('r2', 'output_text', { quantity: '5', amount_usd: '0.05' }),
      ],
    );
    expect(result).toMatchObject({
      delta_usd: '0',
      unexplained_abs_usd: '0.1',
      within_tolerance: false,
    });
  });

  it('names a call we charge and they do not bill', () => {
    const result = ofCalls([charge('r1', 'output_text')], []);
    expect(result.attempts?.differences).toMatchObject([
      { kind: 'extra_event', flagged: false, attempt_id: 'attempt-r1', delta_usd: '-0.1' },
    ]);
  });

  it('case 26 · two calls without the provider’s id are two, not one charged twice', () => {
    const result = ofCalls(
      [
        charge('a', 'output_text', { provider_request_id: '' }),
        charge('b', 'output_text', { provider_request_id: '' }),
      ],
      [],
    );
    expect(result.attempts?.differences).toMatchObject([
      { kind: 'extra_event', attempt_id: 'attempt-a', delta_usd: '-0.1' },
      { kind: 'extra_event', attempt_id: 'attempt-b', delta_usd: '-0.1' },
    ]);
  });

  it('names a call charged twice, and the later attempt', () => {
    const again = { event_id: 'event-r1-again', attempt_id: 'attempt-r1-again' };
    const result = ofCalls(
      [charge('r1', 'output_text'), charge('r1', 'output_text', again)],
      [item('r1', 'output_text')],
    );
    expect(result.attempts?.differences).toMatchObject([
      {
        kind: 'charged_twice',
        attempt_id: 'attempt-r1-again',
        event_ids: ['event-r1', 'event-r1-again'],
        ledger_usd: '0.2',
        provider_usd: '0.1',
        delta_usd: '-0.1',
      },
    ]);
    expect(result.causes).toMatchObject([
      { class: 'missing_calls', explained: false, amount_usd: '-0.1', count: 1 },
    ]);
  });

  it('names tokens counted in the wrong class: the same total, split otherwise', () => {
    const result = ofCalls(
      [charge('r1', 'input_uncached', { quantity: '30', amount_usd: '0.3' })],
      [
        item('r1', 'input_uncached', { quantity: '10', amount_usd: '0.1' }),
        item('r1', 'cache_read', { quantity: '20', amount_usd: '0.1' }),
      ],
    );
    expect(result.attempts?.differences).toMatchObject([
      {
        kind: 'wrong_class',
        delta_usd: '-0.1',
        meters: [
          { meter: 'input_uncached', ledger_quantity: '30', provider_quantity: '10' },
          { meter: 'cache_read', ledger_quantity: '0', provider_quantity: '20' },
        ],
      },
    ]);
    // per cell: input 0.1 - 0.3 = -0.2, cache 0.1 - 0 = 0.1
    expect(result.cells.map((cell) => [cell.meter, cell.unexplained_usd])).toEqual([
      ['cache_read', '0.1'],
      ['input_uncached', '-0.2'],
    ]);
  });

  it('compares calls that name the snapshot with a statement that names only the model', () => {
    const named = { model: 'claude-haiku-4-5-20251001' };
    const result = ofCalls(
      [charge('r1', 'output_text', named)],
      [item('r1', 'output_text', named), item('r2', 'output_text', named)],
      { sums: [line('output_text', '0.2', { model: 'claude-haiku-4-5' })] },
    );
    expect(result.cells).toMatchObject([{ model: 'claude-haiku-4-5', delta_usd: '0.1' }]);
    expect(result.causes).toMatchObject([
      { text: expect.stringContaining('no event of'), amount_usd: '0.1', count: 1 },
    ]);
  });

  it('counts a call once in the causes, in however many meters it differs', () => {
    const result = ofCalls([], [item('r2', 'output_text'), item('r2', 'input_uncached')]);
    expect(result.causes).toMatchObject([{ amount_usd: '0.2', count: 1 }]);
  });

  it('finds reasoning counted as text where the record tells them apart, although no money differs', () => {
    const result = ofCalls(
      [charge('r1', 'output_text', { quantity: '20', amount_usd: '0.2' })],
      [item('r1', 'output_text'), item('r1', 'output_reasoning')],
    );
    expect(result.attempts).toMatchObject({
      faults: 1,
      differences: [{ kind: 'wrong_class', delta_usd: '0' }],
    });
    expect(result.delta_usd).toBe('0');
  });

  it('names a charge that is a cent off as a matter of price', () => {
    const result = ofCalls(
      [charge('r1', 'output_text', { amount_usd: '0.11' })],
      [item('r1', 'output_text')],
    );
    expect(result.attempts?.differences).toMatchObject([
      { kind: 'price', flagged: false, delta_usd: '-0.01' },
    ]);
    expect(result.causes).toMatchObject([
      { class: 'price', explained: false, amount_usd: '-0.01' },
    ]);
  });

  it('names the cell of a statement that is a cent off while every call agrees', () => {
    const result = ofCalls([charge('r1', 'output_text')], [item('r1', 'output_text')], {
      sums: [line('output_text', '0.11')],
    });
    expect(result.attempts?.faults).toBe(0);
    expect(result.cells).toMatchObject([
      {
        model: MODEL,
        meter: 'output',
        delta_usd: '0.01',
        causes: [
          {
            class: 'unexplained',
            amount_usd: '0.01',
            text: 'the statement and the provider record per call differ',
          },
        ],
      },
    ]);
  });

  it('excuses what differs because the provider never stated it: cut streams, unknown usage', () => {
    const result = ofCalls(
      [charge('r1', 'output_text', { amount_usd: '0.07', quantity: '7' })],
      [item('r1', 'output_text'), item('r2', 'output_text')],
      { events: [flagged('r1'), flagged('r2')] },
    );
    expect(result.attempts).toMatchObject({
      faults: 0,
      differences: [{ flagged: true }, { flagged: true }],
    });
    // 0.1 - 0.07 + 0.1 = 0.13
    expect(result).toMatchObject({
      delta_usd: '0.13',
      explained_usd: '0.13',
      unexplained_usd: '0',
    });
    expect(result.causes).toMatchObject([{ class: 'volume', count: 2, amount_usd: '0.13' }]);
  });

  it('a call we called not billed and they bill is a fault', () => {
    const result = ofCalls([], [item('r1', 'output_text')], {
      events: [flagged('r1', { flagged: false })],
    });
    expect(result.attempts?.differences).toMatchObject([
      { kind: 'quantity', flagged: false, attempt_id: 'attempt-r1' },
    ]);
  });

  it('takes a crashed attempt without their id for the unclaimed call nearest in size, and names the other', () => {
    const crashed = {
      event_id: 'event-crash',
      attempt_id: 'attempt-crash',
      provider_request_id: '',
      model: 'gpt-4o-mini',
    };
    const result = ofCalls(
      [charge('', 'output_text', { ...crashed, amount_usd: '0.52', quantity: '52' })],
      [item('r1', 'output_text', { amount_usd: '0.5', quantity: '50' }), item('r2', 'output_text')],
      { events: [flagged('', crashed)] },
    );
    expect(result.attempts).toMatchObject({
      faults: 1,
      differences: [
        { kind: 'missing_event', provider_request_id: 'r2', flagged: false },
        { kind: 'quantity', provider_request_id: 'r1', flagged: true, attempt_id: 'attempt-crash' },
      ],
    });
  });
});

describe('the report as text', () => {
  it('shows sums, causes, cells and the calls at fault, digit by digit', () => {
    const result = ofCalls(
      [charge('r1', 'output_text', { amount_usd: '1234.5', quantity: '12345' })],
      [
        item('r1', 'output_text', { amount_usd: '1234.5', quantity: '12345' }),
        item('r2', 'output_text'),
      ],
    );
    expect(renderReport(result)).toBe(
      `openai, November 2026   amounts in USD
  statement costs-2026-11.csv (sha256 aaaaaaaa…, 4 lines)

  ledger                                                                             1,234.50
  missing_calls   to decide   calls the provider bills and we have no event of (1)      +0.10
  statement                                                                          1,234.60
  delta                       <0.1 % of the ledger                                      +0.10
  to decide                   OUTSIDE tolerance 0.00                                    +0.10

  how it is known
  missing_calls   1 call of the provider's own record, each with its id.
  what each cause means and what to do about it: services/reconciler/discrepancies.md

  model                    meter    causes            ledger   statement   delta   of ledger   to decide
  gpt-4o-mini-2024-07-18   output   missing_calls   1,234.50    1,234.60   +0.10      <0.1 %       +0.10

  1 calls agree with the provider's own record; 0 differ as their ending or their month says; 1 differ without excuse
  missing_event   r2   no attempt   gpt-4o-mini-2024-07-18 output   +0.1
`,
    );
  });
});
